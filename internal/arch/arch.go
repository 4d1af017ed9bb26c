// Package arch holds the architecture of this repository as tests: which
// package may import which, where each outside library is confined, which
// packages are pure, and the habits that a reader relies on (comments, file
// sizes, tests that neither sleep nor skip silently).
//
// The tables of table.go are the law and the documentation of it: each row
// says why. Imports point down:
//
//	cmd/millrace   examples/…   test/…
//	        edge
//	        views        processors
//	        internal/broker
//	aggregates     topology
//	               state
//	               codecs
//
// [Load] reads a module, [Check] applies every [Rule] to it. A rule sees parsed
// files only and is proven able to fail by the scripts in testdata.
package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"strings"
)

// Package is one package of the module with its parsed files.
type Package struct {
	Path  string   // within the module, such as "state/pebblestore"; "." is the root
	Name  string   // as declared, such as "pebblestore"
	Deps  []string // import paths of all packages that the non-test files reach, the standard library included
	Files []*File
	Error string // why the go command could not load it; empty if it could
}

// File is one Go file of a package, test or not.
type File struct {
	Name  string // within the module, such as "state/state.go"
	Test  bool
	Lines int
	Set   *token.FileSet
	AST   *ast.File
}

// Finding is one violation of a rule.
type Finding struct {
	File    string // the file, or the package if it concerns the whole of it
	Line    int    // 0 if it concerns the whole file
	Message string // what is wrong and what to do instead
}

// String returns "file:line: message".
func (f Finding) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

// Rule is one law of the repository.
type Rule struct {
	Name  string // short, for test names
	Law   string // the law in one sentence
	Check func(module string, pkg *Package) []Finding
}

// Rules returns all laws, in the order in which they are worth reading.
func Rules() []Rule {
	return []Rule{
		{"loads", "the go command can load every package", checkLoads},
		{"imports", "a package imports only packages of this module that its row allows", checkImports},
		{"confined", "an outside library is imported only where it belongs", checkConfined},
		{"testing-outside-tests", "nothing of the tests reaches a user's binary", checkTesting},
		{"pure", "the pure packages do no I/O, read no clock, start no goroutine and roll no dice", checkPure},
		{"package-comment", "every package says what it is for", checkPackageComment},
		{"documented", "every exported symbol has a comment", checkDocumented},
		{"file-size", "no file is longer than a reader can hold", checkFileSize},
		{"sleep", "no test sleeps", checkSleep},
		{"skip", "no test is skipped without a reason", checkSkip},
	}
}

// Check applies one rule to all packages of a module and returns what it finds.
func Check(rule Rule, module string, packages []*Package) []Finding {
	var findings []Finding
	for _, pkg := range packages {
		findings = append(findings, rule.Check(module, pkg)...)
	}
	return findings
}

// at makes a finding about a node of f.
func (f *File) at(node ast.Node, format string, args ...any) Finding {
	return Finding{File: f.Name, Line: f.Set.Position(node.Pos()).Line, Message: fmt.Sprintf(format, args...)}
}

// generated reports whether f says that a program wrote it.
func (f *File) generated() bool { return ast.IsGenerated(f.AST) }

// forTests reports whether the package exists for tests only: the public test
// helpers named after what they test, and the suites below test/.
func (p *Package) forTests() bool {
	return strings.HasSuffix(path.Base(p.Path), "test") || matches("test/...", p.Path)
}

// matches reports whether the path is the pattern, or, for a pattern that ends
// in "/...", the folder it names or anything below.
func matches(pattern, path string) bool {
	folder, below := strings.CutSuffix(pattern, "/...")
	return path == folder || below && strings.HasPrefix(path, folder+"/")
}

// matchesAny reports whether one of the patterns matches the path.
func matchesAny(patterns []string, path string) bool {
	for _, pattern := range patterns {
		if matches(pattern, path) {
			return true
		}
	}
	return false
}
