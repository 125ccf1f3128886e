#!/usr/bin/env bash
# Fuzzes each target for a little while: FUZZTIME, or 5s.
#
# Go before 1.27 now and then fails a target because its time is over, with nothing but
# "context deadline exceeded" (go.dev/issue/75804). That is no finding: for one, an input is
# written down and named, or the process panics.
set -euo pipefail
cd "$(dirname "$0")/.."

# fuzz fuzzes the target $2 of the package $1.
fuzz() {
	local output
	echo "$1 $2"
	if output=$(go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-5s}" "$1" 2>&1); then
		tail -n 2 <<<"$output"
		return
	fi
	printf '%s\n' "$output"
	grep -q '^ *context deadline exceeded$' <<<"$output" || return 1
	! grep -q -e 'Failing input written' -e '^panic: ' -e 'fuzzing process hung' <<<"$output" || return 1
	echo "its time was over: nothing was found"
}

# targets prints the package and the name of each target of the file $2 of the package $1.
targets() { sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\).*|$1 \1|p" "$2"; }

# All at once, so that no target can read what is meant for the loop.
mapfile -t all < <(
	go list -f '{{$d := .ImportPath}}{{range .TestGoFiles}}{{$d}} {{$.Dir}}/{{.}}
{{end}}{{range .XTestGoFiles}}{{$d}} {{$.Dir}}/{{.}}
{{end}}' ./... | while read -r package file; do
		[ -z "$package" ] || targets "$package" "$file"
	done
)
[ ${#all[@]} -gt 0 ] || { echo "no target was found"; exit 1; }
for each in "${all[@]}"; do
	read -r package target <<<"$each"
	fuzz "$package" "$target"
done
echo "${#all[@]} targets"
