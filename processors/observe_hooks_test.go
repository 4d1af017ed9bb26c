package processors

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// JoinHooks must join every hook, also one that is added later.
func TestJoinHooks_callsAllInOrder(t *testing.T) {
	hooks := reflect.TypeFor[Hooks]()
	for i := range hooks.NumField() {
		field := hooks.Field(i)
		var calls []string
		listener := func(name string) Hooks {
			var h Hooks
			reflect.ValueOf(&h).Elem().Field(i).Set(reflect.MakeFunc(field.Type, func([]reflect.Value) []reflect.Value {
				calls = append(calls, name)
				return nil
			}))
			return h
		}
		joined := reflect.ValueOf(JoinHooks(Hooks{}, listener("first"), Hooks{}, listener("second"), listener("third"))).Field(i)
		require.False(t, joined.IsNil(), "JoinHooks forgets %s", field.Name)
		args := make([]reflect.Value, field.Type.NumIn())
		for j := range args {
			args[j] = reflect.Zero(field.Type.In(j))
		}
		joined.Call(args)
		require.Equal(t, []string{"first", "second", "third"}, calls, field.Name)
	}
	require.Equal(t, Hooks{}, JoinHooks(), "nil stays nil")
	require.Equal(t, Hooks{}, JoinHooks(Hooks{}, Hooks{}))
}

func TestFailureKind_String(t *testing.T) {
	require.Equal(t, "undecodable", UndecodableRecord.String())
	require.Equal(t, "processing", FailedProcessing.String())
	require.Equal(t, "producing", FailedProduce.String())
	require.Equal(t, "unknown", FailureKind(0).String())
}
