package conformance_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The programs and scripts that docs/semantics.md names as evidence exist.
func TestSemantics(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "semantics.md"))
	require.NoError(t, err)
	list := regexp.MustCompile("\\b(program|script)s?\\s((?:`[^`]+`(?:,\\s|\\sand\\s)?)+)")
	folders := map[string][2]string{
		"program": {filepath.Join("testdata", "recorded"), ".json"},
		"script":  {filepath.Join("..", "..", "topology", "testdata", "scripts"), ""},
	}
	named := 0
	for _, match := range list.FindAllStringSubmatch(string(text), -1) {
		folder, ending := folders[match[1]][0], folders[match[1]][1]
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(match[2], -1) {
			named++
			files, err := filepath.Glob(filepath.Join(folder, strings.ReplaceAll(name[1], "…", "*")+ending))
			require.NoError(t, err)
			require.NotEmpty(t, files, "no %s is called %s", match[1], name[1])
		}
	}
	require.Greater(t, named, 50, "the page is not written as it was")
}
