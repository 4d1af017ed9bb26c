package conformance_test

import (
	"math/rand/v2"
	"strings"

	"github.com/seed84377926/millrace/codecs"
)

// chain is a chain of stateless operators.
type chain []stateless

// stateless is an operator that remembers nothing, with a second definition by record.
type stateless struct {
	name  string
	build func(s stream) stream
	naive func(r record) []record
}

func (o stateless) String() string { return o.name }

func (c chain) build(s stream) stream {
	for _, o := range c {
		s = o.build(s)
	}
	return s
}

func (c chain) naive(r record) []record {
	records := []record{r}
	for _, o := range c {
		var next []record
		for _, r := range records {
			next = append(next, o.naive(r)...)
		}
		records = next
	}
	return records
}

// randomChain rolls up to two operators; keys says whether they may change keys.
func randomChain(dice *rand.Rand, keys bool) chain {
	choice := []stateless{noX(), exclaimed()}
	if keys {
		choice = append(choice, byFirst())
	}
	var c chain
	for range dice.IntN(3) {
		c = append(c, choice[dice.IntN(len(choice))])
	}
	if len(c) == 2 && c[0].name == c[1].name {
		c = c[:1]
	}
	return c
}

func noX() stateless {
	keep := func(value string) bool { return !strings.HasPrefix(value, "x") }
	return stateless{
		name:  "filter",
		build: func(s stream) stream { return s.Filter(func(_, value string) bool { return keep(value) }) },
		naive: func(r record) []record {
			if !r.NullValue && !keep(r.Value) {
				return nil
			}
			return []record{r}
		},
	}
}

func exclaimed() stateless {
	f := func(value string) string { return value + "!" }
	return stateless{
		name:  "map-values",
		build: func(s stream) stream { return s.MapValues(f) },
		naive: func(r record) []record {
			if !r.NullValue {
				r.Value = f(r.Value)
			}
			return []record{r}
		},
	}
}

func byFirst() stateless {
	return stateless{
		name: "rekey and repartition",
		build: func(s stream) stream {
			return s.Rekey(func(_, value string) string { return first(value) }).Repartition("by-first", codecs.String, codecs.String)
		},
		naive: func(r record) []record {
			if r.NullValue {
				return nil
			}
			r.Key, r.NullKey = first(r.Value), false
			return []record{r}
		},
	}
}
