package edge

import (
	"net/http"
)

// answer is a complete HTTP answer, which can be sent, stored, and sent again.
type answer struct {
	status int
	header []field // in order, each name once or more
	body   []byte
}

type field struct{ name, value string }

func (a *answer) set(name, value string) { a.header = append(a.header, field{name, value}) }

// send writes the answer. Errors of the connection are ignored: the client is gone.
func (a *answer) send(w http.ResponseWriter) {
	for _, f := range a.header {
		w.Header().Add(f.name, f.value)
	}
	w.WriteHeader(a.status)
	if len(a.body) > 0 {
		_, _ = w.Write(a.body)
	}
}
