package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// checkSentinels wants the text of an exported error value to begin with the name of its package: it is often all that
// a user gets to see. What users cannot import is not concerned.
func checkSentinels(_ *Repository, pkg *Package) []Finding {
	if strings.HasPrefix(pkg.Path, "internal/") || pkg.Name == "main" {
		return nil
	}
	var findings []Finding
	for _, file := range pkg.Files {
		if file.Test {
			continue
		}
		for _, decl := range file.AST.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR {
				continue
			}
			for _, spec := range group.Specs {
				findings = append(findings, file.unnamedSentinels(pkg, spec)...)
			}
		}
	}
	return findings
}

// unnamedSentinels returns the exported errors of a var declaration whose texts do not begin with the name of the
// package.
func (f *File) unnamedSentinels(pkg *Package, spec ast.Spec) []Finding {
	values, ok := spec.(*ast.ValueSpec)
	if !ok {
		return nil
	}
	var findings []Finding
	for i, value := range values.Values {
		name := values.Names[i].Name
		call, ok := value.(*ast.CallExpr)
		if !ok || !strings.HasPrefix(name, "Err") || len(call.Args) == 0 || slices.Contains(bareSentinels(), pkg.Path+"."+name) {
			continue
		}
		literal, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			continue
		}
		if text, err := strconv.Unquote(literal.Value); err == nil && !strings.HasPrefix(text, pkg.Name+": ") {
			findings = append(findings, f.at(literal, "the text of %s begins with %q: it may be all that a user sees", name, pkg.Name+": "))
		}
	}
	return findings
}
