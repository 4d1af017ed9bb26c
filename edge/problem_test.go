package edge

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProblem_isFlat(t *testing.T) {
	p := problem(400, "x", "Title", "detail").with("status", 200).with("zeta", 1).with("alpha", func() {}).with("beta", []int(nil))
	body := p.answer(&exchange{path: "/p", requestID: "r", trace: newTrace()}).body
	var decoded map[string]any
	require.NoError(t, json.Unmarshal(body, &decoded))
	require.InDelta(t, 400, decoded["status"], 0, "extensions do not shadow")
	require.NotContains(t, decoded, "alpha")
	require.True(t, strings.HasPrefix(string(body), `{"type":"/problems/x","title":"Title","status":400,"detail":"detail","instance":"/p"`), "%s", body)
}
