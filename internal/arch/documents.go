package arch

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	documentLink = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	documentCode = regexp.MustCompile("`([^`\n]+)`")
	codePath     = regexp.MustCompile(`^(?:[\w.-]+/)*[\w-]+\.(?:go|md)$|^[\w-]+(?:/[\w-]+)+$`)
	notInAnchor  = regexp.MustCompile(`[^\w\s-]`)
)

// checkDocument makes sure that the links of a document lead somewhere, and that the files and folders that it names
// exist.
func checkDocument(repo *Repository, document *Document) []Finding {
	var findings []Finding
	for i, line := range document.prose() {
		found := func(message string) {
			findings = append(findings, Finding{File: document.Name, Line: i + 1, Message: message})
		}
		for _, match := range documentLink.FindAllStringSubmatch(line, -1) {
			if problem := repo.follow(document, match[1]); problem != "" {
				found("the link " + match[1] + " " + problem)
			}
		}
		if matchesAny(historical(), document.Name) {
			continue
		}
		for _, match := range documentCode.FindAllStringSubmatch(line, -1) {
			if name := match[1]; codePath.MatchString(name) && !repo.names(document, name) {
				found(name + " is not in the repository")
			}
		}
	}
	return findings
}

// follow says what is wrong with a link of a document, "" if nothing is.
func (repo *Repository) follow(document *Document, link string) string {
	if strings.Contains(link, ":") { // another site
		return ""
	}
	name, anchor, _ := strings.Cut(link, "#")
	target := document.Name
	if name != "" {
		target = path.Join(path.Dir(document.Name), name)
	}
	if !repo.Paths[target] {
		return "leads nowhere"
	}
	for _, d := range repo.Documents {
		if d.Name == target && anchor != "" && !slices.Contains(d.anchors(), anchor) {
			return "names no heading of " + target
		}
	}
	return ""
}

// names reports whether a name in a document is the name of a file or a folder, or does not look like one. A document
// about the whole repository may name a Go file without its folder.
func (repo *Repository) names(document *Document, name string) bool {
	top, _, nested := strings.Cut(name, "/")
	if path.Ext(name) == "" && !repo.Paths[top] {
		return true // not a path, but a name such as text/plain
	}
	if repo.exists(name, path.Dir(document.Name)) {
		return true
	}
	return !nested && len(repo.called(name)) > 0
}

// prose returns the lines of a document, blank where it has a block of code.
func (d *Document) prose() []string {
	lines := strings.Split(d.Text, "\n")
	code := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if code || fence {
			lines[i] = ""
		}
		code = code != fence
	}
	return lines
}

// headings returns the headings of a document as text.
func (d *Document) headings() []string {
	var headings []string
	for _, line := range d.prose() {
		if text := strings.TrimLeft(line, "#"); text != line && strings.HasPrefix(text, " ") {
			headings = append(headings, strings.ReplaceAll(strings.TrimSpace(text), "`", ""))
		}
	}
	return headings
}

// anchors returns what links to the headings of a document look like.
func (d *Document) anchors() []string {
	var anchors []string
	for _, heading := range d.headings() {
		anchors = append(anchors, strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-"))
	}
	return anchors
}
