// Command gitops says of objects what GitOps tools would: what kstatus makes of them, which Flux and helm ask, and
// what a health script makes of them, in the interpreter of Argo CD and with the libraries that it opens.
//
// It reads a List on standard input and writes one JSON list of answers, in the same order.
//
//	gitops kstatus < objects.json
//	gitops health health.lua < objects.json
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

// answer is what both tools know: a word and a text.
type answer struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var judge func(map[string]any) (answer, error)
	switch {
	case len(args) == 1 && args[0] == "kstatus":
		judge = kstatus
	case len(args) == 2 && args[0] == "health":
		script, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		judge = func(object map[string]any) (answer, error) { return health(string(script), object) }
	default:
		return errors.New("usage: gitops kstatus | gitops health FILE")
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	// Whole numbers come out as such, as for a client of the API server.
	var list unstructured.UnstructuredList
	if err := list.UnmarshalJSON(text); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	answers := []answer{}
	for _, object := range list.Items {
		judged, err := judge(object.Object)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		answers = append(answers, judged)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func kstatus(object map[string]any) (answer, error) {
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return answer{}, err
	}
	return answer{Status: result.Status.String(), Message: result.Message}, nil
}

// health runs a script as Argo CD does for one that is configured: the object as the global obj, no libraries but the
// base and tables.
func health(script string, object map[string]any) (answer, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	text, err := json.Marshal(object)
	if err != nil {
		return answer{}, err
	}
	value, err := luajson.Decode(state, text)
	if err != nil {
		return answer{}, err
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(script); err != nil {
		return answer{}, err
	}
	said, err := luajson.Encode(state.Get(-1))
	if err != nil {
		return answer{}, err
	}
	var judged answer
	if err := json.Unmarshal(said, &judged); err != nil {
		return answer{}, fmt.Errorf("the script returns %s: %w", said, err)
	}
	return judged, nil
}
