#!/usr/bin/env bash
# Fuzzes each target for a little while: FUZZTIME, or 5s. Two at a time, of one worker each; the
# tests of a package are built once for all its targets.
#
# Go before 1.27 now and then fails a target because its time is over, with nothing but
# "context deadline exceeded" (go.dev/issue/75804). That is no finding: for one, an input is
# written down and named, or the process panics.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# binary prints where the tests of the package $1 are, built for fuzzing.
binary() { echo "$scratch/$(basename "$1").test"; }

# fuzz fuzzes the target $2 of the package $1, in the folder $3.
fuzz() {
	local output
	if output=$(cd "$3" && "$(binary "$1")" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "${FUZZTIME:-5s}" \
		-test.parallel 1 -test.fuzzcachedir "$cache/$1" 2>&1); then
		printf '%s %s\n%s\n' "$1" "$2" "$(tail -n 2 <<<"$output")"
		return
	fi
	printf '%s %s\n%s\n' "$1" "$2" "$output"
	grep -q '^ *context deadline exceeded$' <<<"$output" || return 1
	! grep -q -e 'Failing input written' -e '^panic: ' -e 'fuzzing process hung' <<<"$output" || return 1
	echo "its time was over: nothing was found"
}

# targets prints the package $1, the name of each target of its file $3, and its folder $2.
targets() { sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\).*|$1 \1 $2|p" "$2/$3"; }

# All at once, so that no target can read what is meant for the loop.
mapfile -t all < <(
	go list -f '{{$d := .ImportPath}}{{range .TestGoFiles}}{{$d}} {{$.Dir}} {{.}}
{{end}}{{range .XTestGoFiles}}{{$d}} {{$.Dir}} {{.}}
{{end}}' ./... | while read -r package folder file; do
		[ -z "$package" ] || targets "$package" "$folder" "$file"
	done
)
[ ${#all[@]} -gt 0 ] || { echo "no target was found"; exit 1; }

cache=$(go env GOCACHE)/fuzz # where go test keeps inputs that led to something new
mapfile -t packages < <(printf '%s\n' "${all[@]}" | cut -d ' ' -f 1 | sort -u)
# What leads to something new is told by code of this module and of those that it uses. With -fuzz the
# standard library would tell, too, and would have to be built anew, 80 s of a processor.
go test -c -vet=off '-gcflags=github.com/...=-d=libfuzzer' -o "$scratch/" "${packages[@]}"

# share fuzzes every $2nd target, from number $1 on.
share() {
	local i bad=0 package target folder
	for ((i = $1; i < ${#all[@]}; i += $2)); do
		read -r package target folder <<<"${all[i]}"
		fuzz "$package" "$target" "$folder" || bad=1
	done
	return $bad
}

failed=0
share 0 2 &
first=$!
share 1 2 || failed=1
wait "$first" || failed=1
echo "${#all[@]} targets"
exit $failed
