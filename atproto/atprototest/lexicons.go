package atprototest

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"time"

	"github.com/bluesky-social/indigo/atproto/lexicon"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/rivo/uniseg"
)

// loadLexicons reads the lexicons that indigo's module carries, from where the compiler found its source. A binary moved
// to another machine does not find them and checks only what validateByHand knows.
func loadLexicons() *lexicon.BaseCatalog {
	pc := reflect.ValueOf(syntax.ParseDID).Pointer()
	file, _ := runtime.FuncForPC(pc).FileLine(pc)
	dir := filepath.Join(filepath.Dir(file), "..", "..", "lexicons")
	cat := lexicon.NewBaseCatalog()
	for _, sub := range []string{"app/bsky", "com/atproto", "chat/bsky"} {
		if err := cat.LoadDirectory(filepath.Join(dir, sub)); err != nil {
			return nil
		}
	}
	return cat
}

// validate checks a record of a collection that the AppView indexes; others pass.
func (v *AppView) validate(collection string, data map[string]any) error {
	if data["$type"] != collection {
		return fmt.Errorf("$type is %v, not the collection", data["$type"])
	}
	if err := validateByHand(collection, data); err != nil {
		return err
	}
	if v.lex == nil {
		return nil
	}
	if _, err := v.lex.Resolve(collection); err != nil {
		return nil //nolint:nilerr // a collection without a lexicon passes
	}
	return lexicon.ValidateRecord(v.lex, data, collection, 0)
}

func validateByHand(collection string, data map[string]any) error {
	switch collection {
	case "app.bsky.feed.post":
		text, ok := data["text"].(string)
		if !ok {
			return errors.New("text is missing")
		}
		if n := uniseg.GraphemeClusterCount(text); n > 300 || len(text) > 3000 {
			return fmt.Errorf("text of %d graphemes and %d bytes", n, len(text))
		}
		if err := checkFacets(text, data["facets"]); err != nil {
			return err
		}
		return checkCreated(data)
	case "app.bsky.feed.like", "app.bsky.feed.repost", "app.bsky.graph.follow", "app.bsky.graph.block":
		if data["subject"] == nil {
			return errors.New("subject is missing")
		}
		return checkCreated(data)
	}
	return nil
}

func checkCreated(data map[string]any) error {
	s, _ := data["createdAt"].(string)
	t, err := syntax.ParseDatetime(s)
	if err != nil {
		return fmt.Errorf("createdAt: %w", err)
	}
	if t.Time().After(time.Now().Add(24 * time.Hour)) {
		return errors.New("createdAt is far in the future")
	}
	return nil
}

// checkFacets insists on what clients need: byte ranges in order, inside the text, on character boundaries, not
// overlapping. The lexicon alone does not say it.
func checkFacets(text string, v any) error {
	list, _ := v.([]any)
	last := int64(0)
	for _, f := range list {
		facet, _ := f.(map[string]any)
		index, _ := facet["index"].(map[string]any)
		start, _ := index["byteStart"].(int64)
		end, _ := index["byteEnd"].(int64)
		if start < last || end <= start || end > int64(len(text)) {
			return fmt.Errorf("facet %d-%d of %d bytes overlaps or is out of range", start, end, len(text))
		}
		if !boundary(text, start) || !boundary(text, end) {
			return fmt.Errorf("facet %d-%d cuts a character", start, end)
		}
		last = end
	}
	return nil
}

func boundary(s string, i int64) bool {
	return i == int64(len(s)) || s[i]&0xc0 != 0x80
}
