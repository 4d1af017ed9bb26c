#!/usr/bin/env bash
# Measures what a program that uses millrace inherits: copies this folder's main.go into a module of its own, outside the
# repository, and prints the modules in that module's graph, the packages and modules it links, and its size.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
module=$(cd "$root" && go list -m)
outside=$(mktemp -d "${TMPDIR:-/tmp}/millrace-minimal.XXXXXX")
trap 'rm -rf "$outside"' EXIT

cp "$here/main.go" "$outside/"
cp "$root/go.sum" "$outside/"
cat >"$outside/go.mod" <<MOD
module example.com/minimal

$(grep -E '^(go|toolchain) ' "$root/go.mod")

require $module v0.0.0

replace $module => $root
MOD
cd "$outside"
export GOWORK=off
go mod tidy -e 2>/dev/null

go build -trimpath -o plain .
go build -trimpath -ldflags='-s -w' -o stripped .
packages=$(go list -deps .)

row() { printf '%-34s %12s\n' "$1" "$2"; }
row 'modules in the graph'              "$(go list -m all | wc -l)"
row 'lines of go mod graph'             "$(go mod graph | wc -l)"
row 'modules in its go.mod'             "$(go mod edit -json | grep -c '"Version"')"
row 'modules linked'                    "$(go version -m plain | grep -cP '^\t(dep|mod)\t')"
row 'packages linked'                   "$(wc -l <<<"$packages")"
row '  outside the standard library'    "$(go list -deps -f '{{if not .Standard}}{{.ImportPath}}{{end}}' . | grep -c .)"
row 'bytes, -trimpath'                 "$(stat -c %s plain)"
row "bytes, -trimpath -ldflags='-s -w'" "$(stat -c %s stripped)"
for library in kfake cobra testing gomock:go.uber.org/mock opentelemetry:go.opentelemetry.io progressbar goleveldb sarama sentry-go; do
  if grep -qE "(^|/)${library#*:}(/|\$)" <<<"$packages"; then answer=yes; else answer=no; fi
  row "links ${library%%:*}" "$answer"
done
