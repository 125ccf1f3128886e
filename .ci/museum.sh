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
# the code that it was about. It may change the bodies of functions, and nothing else: weave.go
# puts all bugs into one tree, asleep, so that tests are built once and not for each.
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

# catchers prints the package and the tests of each line of a patch that names some.
catchers() { sed -n '/^---/q; s/^Caught by: //p' "$1"; }

# changed prints the files that a patch changes.
changed() { sed -n 's|^+++ b/||p' "$1"; }

# isolate leaves the files of the patch $1, with its bug in them, in $scratch/bugs.
isolate() {
	local bug
	bug=$scratch/bugs/$(basename "$1" .patch)
	mkdir -p "$bug"
	changed "$1" | (cd "$scratch/tree" && xargs cp --parents -t "$bug") || return 1
	patch -s -f -p1 -F2 --no-backup-if-mismatch -d "$bug" <"$1" && return
	echo "$(basename "$1" .patch) DOES NOT APPLY"
	return 1
}

# tests runs those of the package $2 that $3 names, with the bug $1 awake, or with none.
tests() (
	cd "$scratch/tree/$2" && MUSEUM_BUG=$1 "$scratch/$(basename "$2").test" -test.timeout 120s -test.failfast -test.run "^($3)\$" 2>&1
)

# show shows that the bug of the patch $1 is caught.
show() {
	local name package names begun output result bad=0
	name=$(basename "$1" .patch)
	while read -r package names; do
		begun=$SECONDS
		output=$(tests "$name" "$package" "$names") && result=MISSED || result=caught
		if [ $result = caught ] && ! grep -q -e '^ *--- FAIL' -e '^panic: ' -e '^fatal error: ' <<<"$output"; then
			result="BROKEN: $(tail -n 3 <<<"$output")"
		fi
		[ "$result" = caught ] || bad=1
		printf '%-28s %-8s %3ss  %s %s\n' "$name" "$result" $((SECONDS - begun)) "$package" "$names"
	done < <(catchers "$1")
	return $bad
}

# share shows every $2nd of the bugs, from number $1 on.
share() {
	local i bad=0
	for ((i = $1; i < ${#patches[@]}; i += $2)); do
		show "${patches[i]}" || bad=1
	done
	return $bad
}

mkdir "$scratch/tree"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do
	[ ! -e "$f" ] || printf '%s\0' "$f"
done | xargs -0 cp --parents -t "$scratch/tree"
failed=0
for p in "${patches[@]}"; do isolate "$p" || failed=1; done
[ $failed = 0 ] || exit 1
go run .ci/weave.go "$scratch/tree" "$scratch/bugs"

# What is not optimised is built in two thirds of the time.
mapfile -t packages < <(for p in "${patches[@]}"; do catchers "$p"; done | cut -d ' ' -f 1 | sort -u)
(cd "$scratch/tree" && go test -c -vet=off -o "$scratch/" '-gcflags=-N -l' -ldflags=-w "${packages[@]}")

echo "without bugs:"
for package in "${packages[@]}"; do
	names=$(for p in "${patches[@]}"; do catchers "$p"; done | sed -n "s|^$package ||p" | paste -s -d '|')
	tests "" "$package" "$names" || { echo "these tests fail without any bug"; exit 1; }
done

share 0 2 &
first=$! # what share begins itself would take the place of that
share 1 2 || failed=1
wait "$first" || failed=1
echo "${#patches[@]} bugs"
exit $failed
