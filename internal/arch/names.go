package arch

import (
	"path"
	"slices"
	"strings"
)

// checkNames wants names of files that a reader can tell apart, and none that Go takes for a build constraint by
// accident. A file that is meant for one system says so in a //go:build line as well. The file of the essay is called
// the same everywhere.
func checkNames(_ *Repository, pkg *Package) []Finding {
	var findings []Finding
	var names []string
	for _, file := range pkg.Files {
		name := strings.TrimSuffix(path.Base(file.Name), ".go")
		if system := constraint(name); system != "" && !file.constrained() {
			findings = append(findings, Finding{
				File: file.Name, Message: "Go builds this file for " + system + " only; choose another name, or add a //go:build line if it is meant",
			})
		}
		if file.Test || name == "doc" {
			continue
		}
		for _, other := range names {
			if nearlyEqual(name, other) {
				findings = append(findings, Finding{
					File: file.Name, Message: "its name differs from " + other + ".go by one letter; name each file after what only it has",
				})
			}
		}
		names = append(names, name)
	}
	return findings
}

// constraint returns the system or processor that Go derives from the name of a file, "" if there is none.
func constraint(name string) string {
	parts := strings.Split(strings.TrimSuffix(name, "_test"), "_")
	if last := parts[len(parts)-1]; len(parts) > 1 && slices.Contains(systems(), last) {
		return last
	}
	return ""
}

// systems returns the values of GOOS and GOARCH, see `go tool dist list`.
func systems() []string {
	return []string{
		"aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux", "netbsd", "openbsd", "plan9", "solaris",
		"wasip1", "windows", "hurd", "nacl", "zos",
		"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x", "wasm",
		"ppc", "riscv", "s390", "sparc", "sparc64", "armbe", "arm64be", "amd64p32", "mips64p32", "mips64p32le",
	}
}

// constrained reports whether the file has a //go:build line.
func (f *File) constrained() bool {
	for _, group := range f.AST.Comments {
		for _, comment := range group.List {
			if comment.Pos() < f.AST.Package && strings.HasPrefix(comment.Text, "//go:build ") {
				return true
			}
		}
	}
	return false
}

// nearlyEqual reports whether one letter more, less or other makes a of b.
func nearlyEqual(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	return a != b && (a[i+1:] == b[i:] || i < len(b) && a[i+1:] == b[i+1:])
}
