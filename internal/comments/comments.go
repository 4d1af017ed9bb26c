// Package comments gives the comments of Go files one width. The formatters of Go leave the breaks of lines in comments
// alone, so that a comment that was edited a few times reads like a torn page; here a paragraph is filled as a word
// processor does it.
//
// [Format] fills paragraphs of line comments that stand on lines of their own. It leaves alone what has a form:
// indented lines (code, lists and diagrams of doc comments), headings, lines with columns, link targets, directives,
// the expected output of examples, block comments and comments after code.
//
// `make fmt` runs the command rewrap of this package over the tree, and `make fmt-check` fails where it would change a
// file.
package comments

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Width is the last column of a comment. A tab counts as four columns.
const Width = 120

const tab = 4

// Format returns src with its comments filled to Width. It fails if src is not Go.
func Format(src []byte) ([]byte, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("fill comments: %w", err)
	}
	lines := strings.SplitAfter(string(src), "\n")
	// From the last group to the first, so that the numbers of the lines before stay true.
	for _, group := range slices.Backward(file.Comments) {
		first, last := set.Position(group.Pos()).Line, set.Position(group.End()).Line
		if filled, ok := fillGroup(group, lines[first-1:last]); ok {
			lines = slices.Replace(lines, first-1, last, filled...)
		}
	}
	var out bytes.Buffer
	for _, line := range lines {
		out.WriteString(line)
	}
	return out.Bytes(), nil
}

// fillGroup fills the comment on the given lines of source. It reports false for a group that is to stay as it is.
func fillGroup(group *ast.CommentGroup, lines []string) ([]string, bool) {
	texts := make([]string, len(lines))
	var indent string
	for i, line := range lines {
		before, text, ok := strings.Cut(line, "//")
		if !ok || strings.TrimSpace(before) != "" {
			return nil, false // after code, or a block comment
		}
		if i == 0 {
			indent = before
		}
		texts[i] = strings.TrimRight(text, " \t\r\n")
	}
	if len(group.List) != len(lines) || isOutput(texts[0]) {
		return nil, false
	}
	end := lines[len(lines)-1][len(strings.TrimRight(lines[len(lines)-1], "\r\n")):]
	var out []string
	for _, text := range fill(texts, Width-len("// ")-columns(indent)) {
		out = append(out, strings.TrimRight(indent+"//"+text, " \t")+"\n")
	}
	out[len(out)-1] = strings.TrimSuffix(out[len(out)-1], "\n") + end
	return out, true
}

// fill fills the paragraphs of a comment, given without slashes, to width columns of text.
func fill(texts []string, width int) []string {
	var out, paragraph []string
	flush := func() {
		out = append(out, wrap(paragraph, width)...)
		paragraph = nil
	}
	for _, text := range texts {
		switch {
		case hasForm(text):
			flush()
			out = append(out, text)
		case startsItem(text):
			flush()
			paragraph = append(paragraph, text)
		default:
			paragraph = append(paragraph, text)
		}
	}
	flush()
	return out
}

// wrap breaks one paragraph into lines.
func wrap(paragraph []string, width int) []string {
	var out []string
	var line string
	for _, word := range joined(strings.Fields(strings.Join(paragraph, " "))) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			out = append(out, " "+line)
			line = word
		}
	}
	if line != "" {
		out = append(out, " "+line)
	}
	return out
}

// joined ties a word that would have a meaning at the beginning of a line, such as a dash, to the word before it.
func joined(words []string) []string {
	var out []string
	for i, word := range words {
		if i > 0 && (startsItem(" "+word+" ") || hasForm(" "+word+" ")) {
			out[len(out)-1] += " " + word
			continue
		}
		out = append(out, word)
	}
	return out
}

var (
	item      = regexp.MustCompile(`^ ([-*+•]|\d+[.)]) `)
	form      = regexp.MustCompile(`^$|^\S|^\t|^ \s|^ # |\S  +\S|^ \[[^\]]+\]: |[│─┌└├▶▼]`)
	outputTag = regexp.MustCompile(`(?i)^ (unordered )?output:`)
)

// startsItem reports whether a line begins an item of a list.
func startsItem(text string) bool { return item.MatchString(text + " ") }

// hasForm reports whether a line is to stay as it is: it is empty, a directive, indented, a heading, a link target, or
// has columns or lines drawn in it.
func hasForm(text string) bool { return form.MatchString(text) }

// isOutput reports whether a comment is what an example is to print.
func isOutput(first string) bool { return outputTag.MatchString(first) }

func columns(indent string) int {
	return utf8.RuneCountInString(indent) + (tab-1)*strings.Count(indent, "\t")
}
