package arch

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestArchitecture is the law applied to this repository.
func TestArchitecture(t *testing.T) {
	watchFolders(t, "../..")
	module, packages, err := Load(t.Context(), "../..")
	require.NoError(t, err)
	require.Equal(t, "github.com/seed84377926/millrace", module)

	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			findings := Check(rule, module, packages)
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
	for _, long := range LongFiles(packages) {
		t.Logf("warning: %s", long)
	}
}

// watchFolders opens every folder below root. The go command then knows that
// the result of this test depends on them, and does not answer from its cache
// when a file or a package was added.
func watchFolders(t *testing.T, root string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		return err
	}))
}

// TestRules runs every script of testdata/rules: each shows one rule passing
// and failing. The commands are
//
//	check rule=NAME file=PATH [lines=N] [deps=(PACKAGE,…)] [error=TEXT]
//	<Go source of the file>
//
// where PATH is within the module "m"; lines pads the file to that length.
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
			var name, failure string
			var lines int
			var deps []string
			d.ScanArgs(t, "file", &name)
			d.MaybeScanArgs(t, "lines", &lines)
			d.MaybeScanArgs(t, "error", &failure)
			for _, arg := range d.CmdArgs {
				if arg.Key == "deps" {
					deps = arg.Vals
				}
			}
			src := d.Input + "\n"
			src += strings.Repeat("\n", max(0, lines-strings.Count(src, "\n")))
			file, err := parse(name, []byte(src))
			require.NoError(t, err)
			pkg := &Package{Path: path.Dir(name), Name: file.AST.Name.Name, Deps: deps, Files: []*File{file}, Error: failure}

			findings := Check(rule, "m", []*Package{pkg})
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

// TestLoad reads a small module with one fault for each way in which loading
// matters: a file behind a build constraint, a test of an external test
// package, a package that does not load.
func TestLoad(t *testing.T) {
	module, packages, err := Load(t.Context(), "testdata/module")
	require.NoError(t, err)
	require.Equal(t, "example.com/m", module)

	found := make(map[string]*Package)
	for _, pkg := range packages {
		found[pkg.Path] = pkg
	}
	require.Contains(t, found, "codecs")
	require.Contains(t, found, "broken")
	require.NotEmpty(t, found["broken"].Error)
	require.Contains(t, found["clean"].Deps, "time")

	var files []string
	for _, file := range found["codecs"].Files {
		files = append(files, file.Name)
	}
	require.ElementsMatch(t, []string{"codecs/codecs.go", "codecs/codecs_other.go", "codecs/codecs_test.go"}, files)

	var findings []string
	for _, rule := range Rules() {
		for _, finding := range Check(rule, module, packages) {
			findings = append(findings, rule.Name+" "+finding.String())
		}
	}
	require.Contains(t, findings, "pure codecs/codecs_other.go:7: codecs is pure and follows no clock, but uses time.Now; let the caller pass the time in")
	require.Contains(t, findings, "sleep codecs/codecs_test.go:8: a test must not sleep; wait for the event itself, or use testing/synctest")
}

// TestLoadOutsideModule shows what somebody sees who runs it in a wrong folder.
func TestLoadOutsideModule(t *testing.T) {
	_, _, err := Load(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "go list in")
}

// TestTables finds rows that no longer mean anything, or come too late.
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
