package arch

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestArchitecture is the law applied to this repository.
func TestArchitecture(t *testing.T) {
	watchFolders(t, "../..")
	repo, err := Load(t.Context(), "../..")
	require.NoError(t, err)
	require.Equal(t, "github.com/seed84377926/millrace", repo.Module)

	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			findings := Check(rule, repo)
			if len(findings) == 0 {
				return
			}
			lines := make([]string, len(findings))
			for i, finding := range findings {
				lines[i] = finding.String()
			}
			t.Errorf("law: %s\n%s", rule.Law, strings.Join(lines, "\n"))
		})
	}
	for _, long := range LongFiles(repo.Packages) {
		t.Logf("warning: %s", long)
	}
}

// watchFolders opens every folder below root. The go command then knows that the result of this test depends on them,
// and does not take it from its cache when a file or a package was added.
func watchFolders(t *testing.T, root string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		return err
	}))
}

// TestMakefile: the targets of the Makefile check each module except the one that pins the tools.
func TestMakefile(t *testing.T) {
	repo, err := Load(t.Context(), "../..")
	require.NoError(t, err)
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	for name := range repo.Paths {
		folder, nested := strings.CutSuffix(name, "/go.mod")
		if nested && !strings.Contains(name, "/testdata/") && folder != "internal/devtools" {
			require.Regexp(t, `(?m)^NESTED := .*\b`+folder+`\b`, string(makefile), "a module that no target checks")
		}
	}
}

// TestRules runs every script of testdata/rules: each shows one rule passing and failing. The commands are
//
//	check file=PATH [lines=N] [deps=(PACKAGE,…)] [error=TEXT] [paths=(PATH,…)]
//	<Go source or Markdown of the file>
//
// where PATH is relative to the root of the module "m"; lines pads the file to that length, and paths are other files
// of the repository. A second file follows a line "-- PATH --".
func TestRules(t *testing.T) {
	untested := make(map[string]Rule)
	for _, rule := range Rules() {
		untested[rule.Name] = rule
	}
	datadriven.Walk(t, "testdata/rules", func(t *testing.T, script string) {
		rule, ok := untested[path.Base(script)]
		require.True(t, ok, "no rule is called %s", script)
		failed := false
		datadriven.RunTest(t, script, func(t *testing.T, d *datadriven.TestData) string {
			findings := Check(rule, scripted(t, d))
			if len(findings) == 0 {
				return "ok"
			}
			failed = true
			var out strings.Builder
			for _, finding := range findings {
				out.WriteString(finding.String() + "\n")
			}
			return out.String()
		})
		require.True(t, failed, "the script never makes the rule fail")
		delete(untested, rule.Name)
	})
	require.Empty(t, untested, "rules without a script")
}

// scripted returns the repository that a command describes.
func scripted(t *testing.T, d *datadriven.TestData) *Repository {
	t.Helper()
	var name, failure string
	var lines int
	d.ScanArgs(t, "file", &name)
	d.MaybeScanArgs(t, "lines", &lines)
	d.MaybeScanArgs(t, "error", &failure)
	repo := &Repository{Module: "m", Paths: make(map[string]bool)}
	var deps []string
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "deps":
			deps = arg.Vals
		case "paths":
			for _, known := range arg.Vals {
				repo.Paths[known] = true
			}
		}
	}
	src := d.Input + "\n"
	src += strings.Repeat("\n", max(0, lines-strings.Count(src, "\n")))
	for i, part := range strings.Split(src, "\n-- ") {
		if i > 0 {
			name, part, _ = strings.Cut(part, " --\n")
			part += "\n"
		}
		repo.Paths[name], repo.Paths[path.Dir(name)] = true, true
		if path.Ext(name) == ".md" {
			repo.Documents = append(repo.Documents, &Document{Name: name, Text: part})
			continue
		}
		file, err := parse(name, []byte(part))
		require.NoError(t, err)
		at := slices.IndexFunc(repo.Packages, func(p *Package) bool { return p.Path == path.Dir(name) })
		if at < 0 {
			at = len(repo.Packages)
			repo.Packages = append(repo.Packages, &Package{Path: path.Dir(name), Name: file.AST.Name.Name, Deps: deps, Error: failure})
		}
		repo.Packages[at].Files = append(repo.Packages[at].Files, file)
	}
	return repo
}

// TestLoad reads a small repository with one fault for each way in which loading matters: a file that a build
// constraint excludes, a test of an external test package, a package that does not load, a second module, a document.
func TestLoad(t *testing.T) {
	repo, err := Load(t.Context(), "testdata/module")
	require.NoError(t, err)
	require.Equal(t, "example.com/m", repo.Module)

	found := make(map[string]*Package)
	for _, pkg := range repo.Packages {
		found[pkg.Path] = pkg
	}
	require.Contains(t, found, "codecs")
	require.Contains(t, found, "broken")
	require.NotEmpty(t, found["broken"].Error)
	require.Contains(t, found["clean"].Deps, "time")
	require.Contains(t, found, "nested/inner")
	require.Len(t, repo.Documents, 1)

	var files []string
	for _, file := range found["codecs"].Files {
		files = append(files, file.Name)
	}
	require.ElementsMatch(t, []string{"codecs/codecs.go", "codecs/codecs_other.go", "codecs/codecs_test.go"}, files)

	var findings []string
	for _, rule := range Rules() {
		for _, finding := range Check(rule, repo) {
			findings = append(findings, rule.Name+" "+finding.String())
		}
	}
	require.Contains(t, findings, "pure codecs/codecs_other.go:7: codecs is pure and follows no clock, but uses time.Now; let the caller pass the time in")
	require.Contains(t, findings, "sleep codecs/codecs_test.go:8: a test must not sleep; wait for the event itself, or use testing/synctest")
	require.Contains(t, findings, "sleep nested/inner/inner_test.go:8: a test must not sleep; wait for the event itself, or use testing/synctest")
	require.Contains(t, findings, "references README.md:1: the link nowhere.md leads nowhere")
}

// TestLoadOutsideModule shows the error in a folder that is not a repository.
func TestLoadOutsideModule(t *testing.T) {
	_, err := Load(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "go list in")
}

// TestTables finds rows that have no reason, and rows that an earlier one hides.
func TestTables(t *testing.T) {
	seen := make(map[string]bool)
	for _, row := range layers() {
		require.NotEmpty(t, row.why, row.pkg)
		for earlier := range seen {
			require.False(t, matches(earlier, row.pkg), "the row of %s hides the later row of %s", earlier, row.pkg)
		}
		seen[row.pkg] = true
	}
	for i, row := range confinements() {
		require.NotEmpty(t, row.why, row.library)
		for _, earlier := range confinements()[:i] {
			require.False(t, matches(earlier.library, row.library), "the row of %s hides the later row of %s", earlier.library, row.library)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"state", "state", true},
		{"state", "state/pebblestore", false},
		{"state/...", "state", true},
		{"state/...", "state/pebblestore", true},
		{"state/...", "statement", false},
	} {
		require.Equal(t, c.want, matches(c.pattern, c.path), "%s %s", c.pattern, c.path)
	}
}

func TestLongFiles(t *testing.T) {
	file, err := parse("codecs/long.go", []byte("package codecs\n"+strings.Repeat("\n", longFile)))
	require.NoError(t, err)
	findings := LongFiles([]*Package{{Path: "codecs", Name: "codecs", Files: []*File{file}}})
	require.Len(t, findings, 1)
	require.Equal(t, "codecs/long.go: 401 lines, over 400; is it still one concept?", findings[0].String())
}
