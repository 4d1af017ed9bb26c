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
	name   string
	rekeys bool
	build  func(s stream) stream
	naive  func(r record) []record
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
	choice := []stateless{filter(), filterNot(), mapValues(), mapWithKey(), flatMapValues(), split()}
	if keys {
		choice = append(choice, rekey(), mapKeys(), flatMap())
	}
	var c chain
	for range dice.IntN(3) {
		c = append(c, choice[dice.IntN(len(choice))])
	}
	if len(c) == 2 && c[0].rekeys && c[1].rekeys {
		c = c[:1] // the repartitions would have one name
	}
	return c
}

// valueOperator is an operator that makes values of each value and passes nulls on.
func valueOperator(name string, build func(s stream) stream, values func(key, value string) []string) stateless {
	return stateless{name: name, build: build, naive: func(r record) (out []record) {
		if r.NullValue {
			return []record{r}
		}
		for _, value := range values(r.Key, r.Value) {
			made := r
			made.Value = value
			out = append(out, made)
		}
		return out
	}}
}

func isX(_, value string) bool         { return strings.HasPrefix(value, "x") }
func isB(_, value string) bool         { return strings.HasPrefix(value, "b") }
func exclaimed(value string) string    { return value + "!" }
func withKey(key, value string) string { return value + key }

func filter() stateless {
	return valueOperator("filter", func(s stream) stream { return s.Filter(isB) }, func(key, value string) []string {
		if isB(key, value) {
			return []string{value}
		}
		return nil
	})
}

func filterNot() stateless {
	return valueOperator("filter not", func(s stream) stream { return s.FilterNot(isX) }, func(key, value string) []string {
		if isX(key, value) {
			return nil
		}
		return []string{value}
	})
}

func mapValues() stateless {
	return valueOperator("map values", func(s stream) stream { return s.MapValues(exclaimed) }, func(_, value string) []string {
		return []string{exclaimed(value)}
	})
}

func mapWithKey() stateless {
	return valueOperator("map values with key", func(s stream) stream { return s.MapValuesWithKey(withKey) },
		func(key, value string) []string { return []string{withKey(key, value)} })
}

func flatMapValues() stateless {
	twice := func(value string, emit func(string)) {
		if !isX("", value) {
			emit(value)
			emit(exclaimed(value))
		}
	}
	return valueOperator("flat-map values", func(s stream) stream { return s.FlatMapValues(twice) },
		func(_, value string) (values []string) {
			twice(value, func(made string) { values = append(values, made) })
			return values
		})
}

// split treats two branches and the rest in three ways and merges them again.
func split() stateless {
	return stateless{
		name: "split and merge",
		build: func(s stream) stream {
			split := s.Split()
			b := split.Branch(isB).MapValues(exclaimed)
			split.Branch(isX) // goes nowhere
			return split.Default().Merge(b)
		},
		naive: func(r record) []record {
			switch {
			case r.NullValue:
			case isB("", r.Value):
				r.Value = exclaimed(r.Value)
			case isX("", r.Value):
				return nil
			}
			return []record{r}
		},
	}
}

// rekeying is an operator that makes keys and values of each record, with a repartition after it, which drops null
// keys.
func rekeying(name string, build func(s stream) stream, pairs func(key, value string) [][2]string) stateless {
	return stateless{
		name: name + " and repartition", rekeys: true,
		build: func(s stream) stream { return build(s).Repartition("rekeyed", codecs.String, codecs.String) },
		naive: func(r record) (out []record) {
			if r.NullValue {
				return nil
			}
			for _, pair := range pairs(r.Key, r.Value) {
				out = append(out, record{Key: pair[0], Value: pair[1], Timestamp: r.Timestamp})
			}
			return out
		},
	}
}

func rekey() stateless {
	return rekeying("rekey", func(s stream) stream { return s.Rekey(func(_, value string) string { return first(value) }) },
		func(_, value string) [][2]string { return [][2]string{{first(value), value}} })
}

func mapKeys() stateless {
	f := func(key, value string) (string, string) { return first(value), value + key }
	return rekeying("map", func(s stream) stream { return s.Map(f) }, func(key, value string) [][2]string {
		key, value = f(key, value)
		return [][2]string{{key, value}}
	})
}

func flatMap() stateless {
	f := func(key, value string, emit func(key, value string)) {
		if isX(key, value) {
			return
		}
		emit(first(value), value)
		emit("K", value+key)
	}
	return rekeying("flat-map", func(s stream) stream { return s.FlatMap(f) }, func(key, value string) (pairs [][2]string) {
		f(key, value, func(key, value string) { pairs = append(pairs, [2]string{key, value}) })
		return pairs
	})
}
