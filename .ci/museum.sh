#!/usr/bin/env bash
# The museum of bugs: each patch in .ci/museum puts a bug back that somebody has made in
# software like this, and names tests that must fail of it. Shows that they do, in a copy
# of the tree, one bug at a time. A test that passes with the bug in place tests nothing.
#
#	.ci/museum.sh [name...]        all of them, or those
#
# A patch begins with lines of what the bug is and what catches it:
#
#	Bug: An ack is sent before the records are applied.
#	Caught by: ./repl TestWait|TestAck
#
# One that does not apply any more fails the run, too: make it anew, or take it out with
# the code that it was about.
set -euo pipefail
cd "$(dirname "$0")/.."

patches=()
if [ $# -gt 0 ]; then
	for name in "$@"; do patches+=(".ci/museum/$name.patch"); done
else
	patches=(.ci/museum/*.patch)
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# copy makes a copy of the tree in the folder $1.
copy() {
	mkdir -p "$1"
	git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do
		[ ! -e "$f" ] || printf '%s\0' "$f"
	done | xargs -0 cp --parents -t "$1"
}

# catchers prints the package and the tests of each line of a patch that names some.
catchers() { sed -n '/^---/q; s/^Caught by: //p' "$1"; }

# tests runs those of the package $2 in the folder $1, as cheaply as it goes: most of the
# time is building. With -trimpath the copies share what they have built, and a package and
# its tests that are not optimised are built in two thirds of the time.
tests() {
	(cd "$1" && go test -vet=off -trimpath '-gcflags=-N -l' -ldflags=-w -timeout 120s -failfast -run "^($3)\$" "$2" 2>&1)
}

# show puts the bug of the patch $2 into the folder $1, and takes it out again.
show() {
	local tree=$1 patch=$2 name begun output result bad=0
	name=$(basename "$patch" .patch)
	if ! patch -s -f -p1 -F2 -d "$tree" <"$patch" >/dev/null 2>&1; then
		printf '%-28s DOES NOT APPLY\n' "$name"
		copy "$tree" # half of it may have
		return 1
	fi
	while read -r package names; do
		begun=$SECONDS
		output=$(tests "$tree" "$package" "$names") && result=MISSED || result=caught
		if [ $result = caught ] && ! grep -q -e '^ *--- FAIL' -e '^panic: ' -e '^fatal error: ' <<<"$output"; then
			result="BROKEN: $(tail -n 3 <<<"$output")" # it does not even compile
		fi
		[ "$result" = caught ] || bad=1
		printf '%-28s %-8s %3ss  %s %s\n' "$name" "$result" $((SECONDS - begun)) "$package" "$names"
	done < <(catchers "$patch")
	patch -s -f -R -p1 -F2 -d "$tree" <"$patch" >/dev/null
	return $bad
}

# share shows every $2nd of the bugs, from number $1 on.
share() {
	local i bad=0
	copy "$scratch/$1"
	for ((i = $1; i < ${#patches[@]}; i += $2)); do
		show "$scratch/$1" "${patches[i]}" || bad=1
	done
	return $bad
}

echo "without bugs:"
copy "$scratch/none"
for p in "${patches[@]}"; do catchers "$p"; done | sort | awk '
	{ all[$1] = all[$1] (all[$1] ? "|" : "") $2 }
	END { for (p in all) print p, all[p] }' | sort | while read -r package names; do
	tests "$scratch/none" "$package" "$names" || { echo "these tests fail without any bug"; exit 1; }
done

failed=0
share 0 2 &
first=$! # what share begins itself would take the place of that
share 1 2 || failed=1
wait "$first" || failed=1
echo "${#patches[@]} bugs"
exit $failed
