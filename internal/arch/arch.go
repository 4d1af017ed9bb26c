// Package arch holds the architecture of this repository as tests: which package may import which, where each outside
// library is confined, which packages are pure, and the habits that a reader relies on (comments and what they refer
// to, names and sizes of files, tests that neither sleep nor skip silently).
//
// The tables of table.go are the law and its documentation: each row says why. Imports point down:
//
//	cmd/millrace   examples/…   test/…
//	        edge
//	        views        processors
//	        internal/broker
//	aggregates     topology
//	               state
//	               codecs
//
// [Load] reads a repository, with all modules in it, and [Check] applies a [Rule] to it. A rule sees parsed files only.
// The scripts in testdata/rules show each rule passing and failing.
package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"strings"
)

// Repository is what the rules look at.
type Repository struct {
	Module    string // path of the module at the root
	Packages  []*Package
	Documents []*Document
	// Paths has every file and folder, relative to the root.
	Paths map[string]bool

	bases map[string][]string // paths by their last element, see called
	rules map[string][]string // see homes
}

// Document is a Markdown file.
type Document struct {
	Name string // relative to the root, such as "docs/formats.md"
	Text string
}

// Package is one package of the repository with its parsed files.
type Package struct {
	Path  string   // relative to the root, such as "state/pebblestore"; "." is the root
	Name  string   // as declared, such as "pebblestore"
	Deps  []string // import paths of all packages that the non-test files reach, the standard library included
	Files []*File
	Error string // why the go command could not load it; empty if it could
}

// File is one Go file of a package, test or not.
type File struct {
	Name  string // relative to the root, such as "state/doc.go"
	Test  bool
	Lines int
	Set   *token.FileSet
	AST   *ast.File
}

// Finding is one violation of a rule.
type Finding struct {
	File    string // the file, or the package if all of it is concerned
	Line    int    // 0 if the whole file is concerned
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
	Name string // short, for test names
	Law  string // the law in one sentence
	// Check looks at one package, CheckDocument at one document. Either may be nil.
	Check         func(repo *Repository, pkg *Package) []Finding
	CheckDocument func(repo *Repository, document *Document) []Finding
}

// Rules returns all laws, the most important ones first.
func Rules() []Rule {
	return []Rule{
		{Name: "loads", Law: "the go command can load every package", Check: checkLoads},
		{Name: "imports", Law: "a package imports only packages of this module that its row allows", Check: checkImports},
		{Name: "confined", Law: "an outside library is imported only where it belongs", Check: checkConfined},
		{Name: "testing-outside-tests", Law: "nothing of the tests reaches a user's binary", Check: checkTesting},
		{Name: "pure", Law: "the pure packages do no I/O, read no clock, start no goroutine and roll no dice", Check: checkPure},
		{Name: "package-comment", Law: "every package says what it is for", Check: checkPackageComment},
		{Name: "documented", Law: "every exported symbol has a comment", Check: checkDocumented},
		{Name: "file-size", Law: "no file is longer than a reader can hold", Check: checkFileSize},
		{Name: "names", Law: "a reader can tell the files of a folder apart, and Go builds all of them", Check: checkNames},
		{Name: "references", Law: "what a comment or a document refers to is in the repository", Check: checkReferences, CheckDocument: checkDocument},
		{Name: "sentinels", Law: "an exported error says which package it is of", Check: checkSentinels},
		{Name: "sleep", Law: "no test sleeps", Check: checkSleep},
		{Name: "skip", Law: "no test is skipped without a reason", Check: checkSkip},
	}
}

// Check applies one rule to a repository.
func Check(rule Rule, repo *Repository) []Finding {
	var findings []Finding
	if rule.Check != nil {
		for _, pkg := range repo.Packages {
			findings = append(findings, rule.Check(repo, pkg)...)
		}
	}
	if rule.CheckDocument != nil {
		for _, document := range repo.Documents {
			findings = append(findings, rule.CheckDocument(repo, document)...)
		}
	}
	return findings
}

// at makes a finding about a node of f.
func (f *File) at(node ast.Node, format string, args ...any) Finding {
	return Finding{File: f.Name, Line: f.Set.Position(node.Pos()).Line, Message: fmt.Sprintf(format, args...)}
}

// generated reports whether f says that a program wrote it.
func (f *File) generated() bool { return ast.IsGenerated(f.AST) }

// forTests reports whether the package exists for tests only: a public test helper, such as statetest, or a suite below
// test/.
func (p *Package) forTests() bool {
	return strings.HasSuffix(path.Base(p.Path), "test") || matches("test/...", p.Path)
}

// matches reports whether the path is the pattern. A pattern that ends in "/..." matches the folder that it names and
// everything below.
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
