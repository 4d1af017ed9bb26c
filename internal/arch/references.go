package arch

import (
	"go/ast"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
)

// A rule or an invariant has a name of one or two capital letters and a number, such as I5. Its home is the essay of
// its package, in a line that begins with "I5: ", or a document that has it in bold, **I5**.
var (
	ruleName       = regexp.MustCompile(`\b[A-Z]{1,2}[0-9]{1,2}\b`)
	ruleInEssay    = regexp.MustCompile(`(?m)^\s*(?:- )?([A-Z]{1,2}[0-9]{1,2}): `)
	ruleInDocument = regexp.MustCompile(`\*\*([A-Z]{1,2}[0-9]{1,2})\b`)
)

// pathName finds the names of Go files and documents, and everything below docs.
var pathName = regexp.MustCompile(`[\w./-]*\w\.(?:go|md)\b|\bdocs/[\w./-]*\w`)

// paths returns where the text names files and documents.
func (p prose) paths() [][]int {
	if !strings.Contains(p.text, ".go") && !strings.Contains(p.text, ".md") && !strings.Contains(p.text, "docs/") {
		return nil // most comments: the expression is slow
	}
	return pathName.FindAllStringIndex(p.text, -1)
}

// outsideName finds references to what is not in the repository.
var outsideName = regexp.MustCompile(`(?i)\bdesign: |\b(?:see|per) the (?:issue|design|brief|ticket)\b|\bthe brief\b|\bissue #?[0-9]+\b`)

// checkReferences makes sure that the rules, files, documents and sections that comments name exist.
func checkReferences(repo *Repository, pkg *Package) []Finding {
	homes := repo.homes()
	findings := sharedPrefixes(homes, pkg)
	for _, file := range pkg.Files {
		words := sync.OnceValue(file.words)
		for _, group := range file.AST.Comments {
			p := file.prose(group)
			found := func(offset int, message string) {
				findings = append(findings, Finding{File: file.Name, Line: p.line(offset), Message: message})
			}
			for _, at := range ruleName.FindAllStringIndex(p.text, -1) {
				name := p.text[at[0]:at[1]]
				if p.apart(at) && !words()[name] && !slices.Contains(homes[name], pkg.Path) && !slices.ContainsFunc(homes[name], isDocument) {
					found(at[0], name+" is explained nowhere; say the rule in words, or give it a home in the package's essay or in docs")
				}
			}
			for _, at := range p.paths() {
				name := p.text[at[0]:at[1]]
				switch {
				case !p.isPath(at):
				case !repo.exists(name, pkg.Path):
					found(at[0], name+" is not in the repository")
				case !repo.hasSection(name, p.text[at[1]:]):
					found(at[0], name+" has no section of that name")
				}
			}
			for _, at := range outsideName.FindAllStringIndex(p.text, -1) {
				found(at[0], "what a comment refers to must be in the repository: "+p.text[at[0]:at[1]])
			}
		}
	}
	return findings
}

// homes returns where rules are explained: packages and documents by the name of the rule.
func (repo *Repository) homes() map[string][]string {
	if repo.rules != nil {
		return repo.rules
	}
	homes := make(map[string][]string)
	repo.rules = homes
	add := func(home, text string, rules *regexp.Regexp) {
		for _, match := range rules.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(homes[match[1]], home) {
				homes[match[1]] = append(homes[match[1]], home)
			}
		}
	}
	for _, pkg := range repo.Packages {
		for _, file := range pkg.Files {
			add(pkg.Path, file.AST.Doc.Text(), ruleInEssay)
		}
	}
	for _, document := range repo.Documents {
		add(document.Name, document.Text, ruleInDocument)
	}
	return homes
}

func isDocument(home string) bool { return strings.HasSuffix(home, ".md") }

// sharedPrefixes finds rules of a package whose letters another package or a document uses for its own rules, too: a
// name alone would not say which one is meant.
func sharedPrefixes(homes map[string][]string, pkg *Package) []Finding {
	letters := func(name string) string { return strings.TrimRight(name, "0123456789") }
	var findings []Finding
	var told []string
	for _, name := range slices.Sorted(maps.Keys(homes)) {
		if !slices.Contains(homes[name], pkg.Path) || slices.Contains(told, letters(name)) {
			continue
		}
		for _, other := range slices.Sorted(maps.Keys(homes)) {
			i := slices.IndexFunc(homes[other], func(home string) bool { return home != pkg.Path })
			if letters(other) == letters(name) && i >= 0 {
				told = append(told, letters(name))
				findings = append(findings, Finding{
					File:    pkg.Path,
					Message: name + " has the letters of " + other + " in " + homes[other][i] + "; give the rules of a package letters of their own",
				})
				break
			}
		}
	}
	return findings
}

// exists reports whether the repository has a file or a folder, named relative to the root or to a package or folder.
// Names with a folder may leave out the folders above it. Decisions may be named by their number.
func (repo *Repository) exists(name, from string) bool {
	name = path.Clean(name)
	if repo.Paths[name] || repo.Paths[path.Join(from, name)] {
		return true
	}
	if strings.HasPrefix(name, "docs/decisions/") {
		for known := range repo.Paths {
			if strings.HasPrefix(known, name+"-") {
				return true
			}
		}
	}
	return strings.Contains(name, "/") && slices.ContainsFunc(repo.called(path.Base(name)), func(known string) bool {
		return strings.HasSuffix(known, "/"+name)
	})
}

// called returns the paths that end with a name.
func (repo *Repository) called(base string) []string {
	if repo.bases == nil {
		repo.bases = make(map[string][]string)
		for known := range repo.Paths {
			repo.bases[path.Base(known)] = append(repo.bases[path.Base(known)], known)
		}
	}
	return repo.bases[base]
}

// hasSection reports whether a document has the section that a reference names: "docs/formats.md, Rows" refers to the
// heading Rows. Text that does not go on like this refers to the whole document.
func (repo *Repository) hasSection(name, rest string) bool {
	after, ok := strings.CutPrefix(rest, ", ")
	if !ok || after == "" || after[0] < 'A' || after[0] > 'Z' {
		return true
	}
	for _, document := range repo.Documents {
		if document.Name == name {
			return slices.ContainsFunc(document.headings(), func(h string) bool { return strings.HasPrefix(after, h) })
		}
	}
	return true
}

// words returns the identifiers of a file, and the names of that kind in its string literals: a comment may name them.
func (f *File) words() map[string]bool {
	words := make(map[string]bool)
	ast.Inspect(f.AST, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Ident:
			words[node.Name] = true
		case *ast.BasicLit:
			if node.Kind == token.STRING {
				for _, name := range ruleName.FindAllString(node.Value, -1) {
					words[name] = true
				}
			}
		}
		return true
	})
	return words
}

// prose is the running text of a comment, without its preformatted lines.
type prose struct {
	text    string
	offsets []int // where the lines begin
	lines   []int // their numbers in the file
}

// prose returns the text of a comment. It ends where the expected output of an Example begins.
func (f *File) prose(group *ast.CommentGroup) prose {
	var p prose
	var text strings.Builder
	for _, comment := range group.List {
		first := f.Set.Position(comment.Pos()).Line
		for i, line := range strings.Split(comment.Text, "\n") {
			line = strings.TrimPrefix(strings.TrimPrefix(line, "//"), "/*")
			if f.Test && strings.HasSuffix(strings.ToLower(strings.TrimSpace(line)), "output:") {
				p.text = text.String()
				return p
			}
			if strings.HasPrefix(line, "\t") {
				continue
			}
			p.offsets, p.lines = append(p.offsets, text.Len()), append(p.lines, first+i)
			text.WriteString(strings.TrimSpace(line) + " ")
		}
	}
	p.text = text.String()
	return p
}

// line returns the line of an offset of the text.
func (p prose) line(offset int) int {
	return p.lines[sort.Search(len(p.offsets), func(i int) bool { return p.offsets[i] > offset })-1]
}

// apart reports whether a name stands for itself, and is not a part of data, a path or a version, as in KL1=D7 or v/B7.
func (p prose) apart(at []int) bool {
	const parts = `/=@_"'-+.`
	after := at[1] < len(p.text) && strings.ContainsRune(`/=@_"'-+`, rune(p.text[at[1]]))
	return !after && (at[0] == 0 || !strings.ContainsRune(parts, rune(p.text[at[0]-1])))
}

// isPath reports whether a name may be a path of the repository: not a part of a pattern or of an address.
func (p prose) isPath(at []int) bool {
	before := p.text[:at[0]]
	word := before[strings.LastIndexByte(before, ' ')+1:]
	pattern := strings.HasSuffix(word, "*") || strings.HasSuffix(word, "…") || strings.HasSuffix(word, ">")
	return !pattern && !strings.Contains(word+p.text[at[0]:at[1]], "://") &&
		!strings.HasPrefix(p.text[at[0]:at[1]], "//")
}
