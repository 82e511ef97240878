// Says whether files are dashboards by Grafana's own model: the types that Grafana generates from its schema. They are
// read strictly (a field of the wrong type, a missing and an unknown one are errors), checked against the model's
// constraints, and written back: what the model does not know is not there any more.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	failed := false
	for _, file := range os.Args[1:] {
		for _, mistake := range mistakes(file) {
			fmt.Fprintf(os.Stderr, "%s: %s\n", file, mistake)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

func mistakes(file string) []string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return []string{err.Error()}
	}
	var board dashboard.Dashboard
	if all := words(board.UnmarshalJSONStrict(raw)); all != nil {
		return all
	}
	if all := words(board.Validate()); all != nil {
		return all
	}
	// Its strict reading keeps no panels.
	board = dashboard.Dashboard{}
	if err := json.Unmarshal(raw, &board); err != nil {
		return []string{err.Error()}
	}
	written, err := json.Marshal(board)
	if err != nil {
		return []string{err.Error()}
	}
	var before, after any
	if err := errors.Join(json.Unmarshal(raw, &before), json.Unmarshal(written, &after)); err != nil {
		return []string{err.Error()}
	}
	return lost(before, after, "$")
}

// Each of the mistakes that an error of the model's stands for; it may stand for none.
func words(err error) []string {
	var many cog.BuildErrors
	switch {
	case errors.As(err, &many):
		var all []string
		for _, one := range many {
			all = append(all, one.Error())
		}
		return all
	case err != nil:
		return []string{err.Error()}
	}
	return nil
}

// What is in a document and not, or not the same, in what was made of it.
func lost(before, after any, at string) []string {
	switch before := before.(type) {
	case map[string]any:
		after, isObject := after.(map[string]any)
		if !isObject {
			break
		}
		var all []string
		for _, key := range keys(before) {
			value, known := after[key]
			switch {
			case known:
				all = append(all, lost(before[key], value, at+"."+key)...)
			case !isNothing(before[key]):
				all = append(all, at+"."+key+": unknown to Grafana")
			}
		}
		return all
	case []any:
		after, isArray := after.([]any)
		if !isArray || len(before) != len(after) {
			break
		}
		var all []string
		for i, value := range before {
			all = append(all, lost(value, after[i], fmt.Sprintf("%s[%d]", at, i))...)
		}
		return all
	}
	if reflect.DeepEqual(before, after) {
		return nil
	}
	return []string{fmt.Sprintf("%s: %v is %v to Grafana", at, before, after)}
}

func keys(object map[string]any) []string {
	var all []string
	for key := range object {
		all = append(all, key)
	}
	sort.Strings(all)
	return all
}

// Left out where it is empty.
func isNothing(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return false
}
