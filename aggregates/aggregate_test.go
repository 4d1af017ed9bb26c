package aggregates_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/codecs"
)

type everything struct {
	Text   string         `json:"text"`
	Count  int32          `json:"count"`
	Size   uint8          `json:"size"`
	Ratio  float64        `json:"ratio"`
	Flag   bool           `json:"flag"`
	When   time.Time      `json:"when"`
	Wait   time.Duration  `json:"wait"`
	Data   []byte         `json:"data"`
	List   []everything   `json:"list"`
	ByName map[string]int `json:"byName"`
	Fail   bool           `json:"fail"`
}

func (e *everything) Validate() error {
	if !e.Fail {
		return nil
	}
	return errors.Join(aggregates.Invalid("/text", "too short"), errors.Join(aggregates.Invalid("", "just wrong"), errors.New("and plain")))
}

type happened struct{}

func everythingType() *aggregates.Aggregate[struct{}] {
	return aggregates.New("everything", struct{}{}, codecs.JSON[struct{}]()).
		Command("do", func(struct{}, everything) ([]aggregates.Event, error) { return nil, nil }).
		On("Happened", func(s struct{}, _ happened) struct{} { return s })
}

func TestDecode_malformed(t *testing.T) {
	for payload, want := range map[string]string{
		``:                            `the payload is empty; send a JSON object, {} if the command has no fields`,
		"  \n":                        `the payload is empty; send a JSON object, {} if the command has no fields`,
		`null`:                        `want a JSON object`,
		`[]`:                          `want a JSON object`,
		`{"text":1}`:                  `/text: want a string, got a number`,
		`{"text":"a","text":"b"}`:     `/text: the field appears twice`,
		`{"Text":"a"}`:                `/Text: unknown field`,
		`{"list":[{},{"size":-1}]}`:   `/list/1/size: want a whole number of 8 bits that is not negative, got -1`,
		`{"list":[{},{"size":256}]}`:  `/list/1/size: want a whole number of 8 bits that is not negative, got 256`,
		`{"list":{}}`:                 `/list: want an array, got an object`,
		`{"count":1.5}`:               `/count: want a whole number of 32 bits, got 1.5`,
		`{"ratio":"x"}`:               `/ratio: want a number, got a string`,
		`{"flag":[]}`:                 `/flag: want true or false, got an array`,
		`{"when":"yesterday"}`:        `/when: want a time as in RFC 3339, got another string`,
		`{"data":"%"}`:                `/data: want a string in base64, got another string`,
		`{"byName":{"a":"b"}}`:        `/byName/a: want a whole number of 64 bits, got a string`,
		`{} {}`:                       `not JSON at byte 3: invalid character '{' after top-level value`,
		`{"text":"a"`:                 `not JSON at byte 11: unexpected EOF`,
		`{"text" "a"}`:                `/text: not JSON at byte 8: invalid character '"' after object name (expecting ':')`,
		"{\"text\":\"\xff\"}":         `/text: not JSON at byte 9: invalid UTF-8`,
		`{"list":[{"fail":true},{}]]`: `not JSON at byte 26: invalid character ']' after object value (expecting ',' or '}')`,
	} {
		t.Run(payload, func(t *testing.T) {
			_, err := everythingType().Decode("do", []byte(payload))
			invalid, ok := errors.AsType[*aggregates.InvalidCommandError](err)
			require.True(t, ok, "%v", err)
			require.True(t, invalid.Malformed)
			require.Len(t, invalid.Fields, 1)
			require.Equal(t, want, invalid.Fields[0].Error())
		})
	}
}

func TestDecode_readsWhatEventsWrite(t *testing.T) {
	_, err := everythingType().Decode("do", []byte(
		` {"text":"a","count":-1,"when":"2026-11-23T04:05:06Z","wait":1000000,"data":"AAEC","list":[{}],"byName":{"a":1}} `))
	require.NoError(t, err)
}

func TestDecode_reportsAllThatValidateFound(t *testing.T) {
	_, err := everythingType().Decode("do", []byte(`{"fail":true}`))
	require.EqualError(t, err, `command "do" is invalid: /text: too short; just wrong; and plain`)
	invalid, ok := errors.AsType[*aggregates.InvalidCommandError](err)
	require.True(t, ok)
	require.False(t, invalid.Malformed)
	require.Len(t, invalid.Fields, 3)
}

func TestDecode_unknownCommand(t *testing.T) {
	_, err := everythingType().Decode("undo", []byte(`{}`))
	unknown, ok := errors.AsType[*aggregates.UnknownCommandError](err)
	require.True(t, ok)
	require.Equal(t, []string{"do"}, unknown.Known)
}

func TestValidate(t *testing.T) {
	require.NoError(t, everythingType().Validate())

	type other struct{}
	a := aggregates.New("Flight", struct{}{}, codecs.JSON[struct{}]()).
		On("", func(s struct{}, _ happened) struct{} { return s }).
		On("Happened", func(s struct{}, _ happened) struct{} { return s }).
		On("Other", func(s struct{}, _ *other) struct{} { return s }).
		Command("do it", func(struct{}, other) ([]aggregates.Event, error) { return nil, nil }).
		Command("twice", func(struct{}, other) ([]aggregates.Event, error) { return nil, nil }).
		Command("twice", func(struct{}, other) ([]aggregates.Event, error) { return nil, nil })
	err := a.Validate()
	require.Error(t, err)
	for _, want := range []string{
		`aggregate "Flight": `,
		`aggregate name "Flight": want lower-case letters`,
		`event of type aggregates_test.happened has no name`,
		`its type aggregates_test.happened is already that of event ""`,
		`event "Other": its type is *aggregates_test.other; register a struct, by value`,
		`command name "do it": want lower-case letters`,
		`command "twice" is registered twice`,
	} {
		require.ErrorContains(t, err, want)
	}
	for line := range strings.Lines(err.Error()) {
		require.Contains(t, line, "aggregate_test.go:", "the place of the mistake")
	}

	require.ErrorContains(t, aggregates.New("empty", 0, codecs.JSON[int]()).Validate(), "no commands are registered\nno events are registered")
	require.ErrorContains(t, aggregates.New("bad", func() {}, codecs.JSON[func()]()).Validate(), "initial state")
}

// wallet has state with a map in it, and functions that misbehave.
type (
	wallet struct{ Coins map[string]int }
	misuse struct{ How string }
	misled struct{ How string }
	noted  struct{}
)

func walletType() *aggregates.Aggregate[wallet] {
	return aggregates.New("wallet", wallet{Coins: map[string]int{}}, codecs.JSON[wallet]()).
		Command("misuse", func(_ wallet, c misuse) ([]aggregates.Event, error) {
			switch c.How {
			case "panic":
				panic(errors.New("boom"))
			case "unregistered":
				return []aggregates.Event{noted{}}, nil
			case "pointer":
				return []aggregates.Event{&misled{}}, nil
			case "fail":
				return nil, errors.New("no luck")
			case "wrapped":
				return nil, errors.Join(errors.New("context"), aggregates.Reject("never", "no state allows it"))
			}
			return []aggregates.Event{misled(c)}, nil
		}).
		On("Misled", func(w wallet, e misled) wallet {
			if e.How == "panic in evolve" {
				panic("bang")
			}
			w.Coins["gold"]++
			return w
		})
}

func TestDecide_errors(t *testing.T) {
	typ := walletType()
	state, err := typ.Initial()
	require.NoError(t, err)
	decide := func(how string) ([]aggregates.Fact, error) {
		c, err := typ.Decode("misuse", []byte(`{"How":"`+how+`"}`))
		require.NoError(t, err)
		return typ.Decide(state, c, aggregates.Stamp{})
	}

	_, err = decide("panic")
	panicked, ok := errors.AsType[*aggregates.PanicError](err)
	require.True(t, ok, "%v", err)
	require.EqualError(t, panicked, `command "misuse" of aggregate "wallet": panic: boom`)
	require.EqualError(t, panicked.Unwrap(), "boom")
	require.Contains(t, string(panicked.Stack), "aggregate_test.go")

	_, err = decide("unregistered")
	require.ErrorContains(t, err, "has no event of type aggregates_test.noted; register it with On")
	_, err = decide("pointer")
	require.ErrorContains(t, err, "has no event of type *aggregates_test.misled")
	_, err = decide("fail")
	require.EqualError(t, err, `command "misuse" of aggregate "wallet": no luck`)
	_, err = decide("wrapped")
	require.Equal(t, aggregates.Reject("never", "no state allows it"), err)

	facts, err := decide("panic in evolve")
	require.NoError(t, err)
	_, err = typ.Evolve(state, facts[0])
	require.EqualError(t, err, `event "Misled" of aggregate "wallet": panic: bang`)
}

func TestEvolve_errors(t *testing.T) {
	typ := walletType()
	state, err := typ.Initial()
	require.NoError(t, err)
	_, err = typ.Evolve(state, aggregates.Fact{Type: "Lost", Data: []byte(`{}`)})
	require.EqualError(t, err, `aggregate "wallet" has no event "Lost"; it has [Misled]`)
	_, err = typ.Evolve(state, aggregates.Fact{Type: "Misled", Data: []byte(`[`)})
	require.ErrorContains(t, err, `event "Misled" of aggregate "wallet": decode JSON`)
	_, err = typ.Evolve(state, aggregates.Fact{Type: "Misled", Data: []byte(`{"How":"","New":1}`)})
	require.NoError(t, err, "an event of newer code")

	foreign, err := everythingType().Initial()
	require.NoError(t, err)
	_, err = typ.Evolve(foreign, aggregates.Fact{Type: "Misled", Data: []byte(`{}`)})
	require.ErrorContains(t, err, "that of another aggregate")
	_, err = typ.DecodeState([]byte(`[`))
	require.ErrorContains(t, err, `state of aggregate "wallet"`)
}

// Two aggregates must not share the map of the initial state, whatever evolve does to it.
func TestInitial_isNotShared(t *testing.T) {
	typ := walletType()
	one, err := typ.Initial()
	require.NoError(t, err)
	two, err := typ.Initial()
	require.NoError(t, err)
	_, err = typ.Evolve(one, aggregates.Fact{Type: "Misled", Data: []byte(`{}`)})
	require.NoError(t, err)
	value, err := typ.Value(two)
	require.NoError(t, err)
	require.Empty(t, value.Coins)
}

// reserve is a command that needs to know the time.
type (
	reserve struct {
		Minutes int64 `json:"minutes"`
		stamp   aggregates.Stamp
	}
	reserved struct {
		By    string `json:"by"`
		Until int64  `json:"until"`
	}
)

func (r *reserve) Stamp(s aggregates.Stamp) { r.stamp = s }

func TestDecide_stamps(t *testing.T) {
	typ := aggregates.New("seat", struct{}{}, codecs.JSON[struct{}]()).
		Command("reserve", func(_ struct{}, c reserve) ([]aggregates.Event, error) {
			return []aggregates.Event{reserved{By: c.stamp.CommandID, Until: c.stamp.Time + c.Minutes*60_000}}, nil
		}).
		On("Reserved", func(s struct{}, _ reserved) struct{} { return s })
	state, err := typ.Initial()
	require.NoError(t, err)
	c, err := typ.Decode("reserve", []byte(`{"minutes":2}`))
	require.NoError(t, err)
	require.Equal(t, "reserve", c.Name())
	facts, err := typ.Decide(state, c, aggregates.Stamp{CommandID: "c1", Time: 5})
	require.NoError(t, err)
	require.Equal(t, []aggregates.Fact{{Type: "Reserved", Data: []byte(`{"by":"c1","until":120005}`), Time: aggregates.NoTime}}, facts)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"text":"a","list":[{"size":1}]}`))
	f.Add([]byte(`{"text":"a","text":"b"}`))
	f.Add([]byte(`{} {}`))
	typ := everythingType()
	f.Fuzz(func(t *testing.T, payload []byte) {
		_, err := typ.Decode("do", payload)
		if err == nil {
			return
		}
		invalid, ok := errors.AsType[*aggregates.InvalidCommandError](err)
		require.True(t, ok, "%v", err)
		require.NotEmpty(t, invalid.Fields)
		require.LessOrEqual(t, invalid.Offset, int64(len(payload)))
	})
}
