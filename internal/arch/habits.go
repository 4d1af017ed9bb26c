package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// checkLoads makes sure that the other rules see everything: a package that the go command cannot load has no list of
// dependencies.
func checkLoads(_ *Repository, pkg *Package) []Finding {
	if pkg.Error == "" {
		return nil
	}
	return []Finding{{File: pkg.Path, Message: pkg.Error}}
}

// checkPackageComment wants one file that says what the package is for. It may be a test file if the package has no
// other files.
func checkPackageComment(_ *Repository, pkg *Package) []Finding {
	onlyTests := !slices.ContainsFunc(pkg.Files, func(f *File) bool { return !f.Test })
	for _, file := range pkg.Files {
		if file.Test && !onlyTests || file.AST.Doc == nil {
			continue
		}
		text := file.AST.Doc.Text()
		if strings.HasPrefix(text, "Package "+strings.TrimSuffix(file.AST.Name.Name, "_test")) || pkg.Name == "main" && text != "" {
			return nil
		}
	}
	return []Finding{{File: pkg.Path, Message: `package has no comment; begin one with "Package ` + pkg.Name + `" and say what it is for`}}
}

// checkDocumented wants a comment on every exported function, type, constant and variable, and on every exported method
// of an exported type. One comment is enough for a group of constants or variables.
func checkDocumented(_ *Repository, pkg *Package) []Finding {
	var findings []Finding
	for _, file := range pkg.Files {
		if file.Test || file.generated() || pkg.Name == "main" {
			continue
		}
		missing := func(node ast.Node, name string) {
			findings = append(findings, file.at(node, "%s is exported and has no comment; say what it does, its units, errors and ownership", name))
		}
		for _, decl := range file.AST.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if receiver := receiverType(decl); decl.Doc == nil && decl.Name.IsExported() && (decl.Recv == nil || ast.IsExported(receiver)) {
					missing(decl, strings.TrimPrefix(receiver+"."+decl.Name.Name, "."))
				}
			case *ast.GenDecl:
				undocumentedSpecs(decl, missing)
			}
		}
	}
	return findings
}

// undocumentedSpecs reports the exported names of a type, const or var declaration that have no comment.
func undocumentedSpecs(decl *ast.GenDecl, missing func(ast.Node, string)) {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && spec.Doc == nil && (decl.Doc == nil || decl.Lparen.IsValid()) {
				missing(spec, spec.Name.Name)
			}
		case *ast.ValueSpec:
			if spec.Doc != nil || spec.Comment != nil || decl.Doc != nil {
				continue
			}
			for _, name := range spec.Names {
				if name.IsExported() {
					missing(name, name.Name)
				}
			}
		}
	}
}

// receiverType returns the name of the type of a method's receiver, and "" for a function.
func receiverType(decl *ast.FuncDecl) string {
	if decl.Recv == nil || len(decl.Recv.List) == 0 {
		return ""
	}
	expr := decl.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// checkFileSize bounds the files that people read. Tests may list many cases.
func checkFileSize(_ *Repository, pkg *Package) []Finding {
	return longerThan(pkg, tooLongFile, "split it by concept")
}

// LongFiles returns the files that are longer than a file should be, though not too long: they are worth a look.
func LongFiles(packages []*Package) []Finding {
	var findings []Finding
	for _, pkg := range packages {
		findings = append(findings, longerThan(pkg, longFile, "is it still one concept?")...)
	}
	return findings
}

func longerThan(pkg *Package, limit int, advice string) []Finding {
	var findings []Finding
	for _, file := range pkg.Files {
		if !file.Test && !file.generated() && file.Lines > limit {
			findings = append(findings, Finding{File: file.Name, Message: fmt.Sprintf("%d lines, over %d; %s", file.Lines, limit, advice)})
		}
	}
	return findings
}

// checkSleep forbids time.Sleep in tests: it is too short on a slow machine, or too long on all others.
func checkSleep(_ *Repository, pkg *Package) []Finding {
	var findings []Finding
	for _, file := range pkg.Files {
		if !file.Test && !pkg.forTests() {
			continue
		}
		ast.Inspect(file.AST, func(node ast.Node) bool {
			if expr, ok := node.(*ast.SelectorExpr); ok {
				if name, ok := file.selects(expr, "time"); ok && name == "Sleep" {
					findings = append(findings, file.at(node, "a test must not sleep; wait for the event itself, or use testing/synctest"))
				}
			}
			return true
		})
	}
	return findings
}

// checkSkip wants every skipped test to say why.
func checkSkip(_ *Repository, pkg *Package) []Finding {
	var findings []Finding
	for _, file := range pkg.Files {
		if !file.Test && !pkg.forTests() {
			continue
		}
		ast.Inspect(file.AST, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok && skipsSilently(call) {
				findings = append(findings, file.at(node, "a skipped test must say why and how to run it"))
			}
			return true
		})
	}
	return findings
}

// skipsSilently recognizes t.SkipNow(), t.Skip() and t.Skip(""), if the receiver has one of the usual names of a
// *testing.T, B or F.
func skipsSilently(call *ast.CallExpr) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	receiver, ok := selector.X.(*ast.Ident)
	if !ok || !slices.Contains([]string{"t", "b", "f", "tb"}, receiver.Name) {
		return false
	}
	switch selector.Sel.Name {
	case "SkipNow":
		return true
	case "Skip", "Skipf":
		return len(call.Args) == 0 || isEmptyString(call.Args[0])
	default:
		return false
	}
}

// isEmptyString reports whether expr is the literal of an empty string.
func isEmptyString(expr ast.Expr) bool {
	literal, ok := expr.(*ast.BasicLit)
	return ok && literal.Kind == token.STRING && len(literal.Value) == len(`""`)
}
