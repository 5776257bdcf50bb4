package translate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The adapter runs one case of the conformance form over the conversions that the running bridge uses: an input and what
// a resolver would have found go in, a result comes out, nothing is sent or looked up. Footbridge's own id scheme is the
// one of the form, so ids of the bridge need no mapping.

// adapterCase is a case on standard input.
type adapterCase struct {
	Name      string          `json:"name"`
	Direction string          `json:"direction"`
	Input     json.RawMessage `json:"input"`
	Context   adapterContext  `json:"context"`
}

// adapterContext is Context in the form of the conformance cases.
type adapterContext struct {
	Now    string `json:"now"`
	Bridge struct {
		Domain string `json:"domain"`
	} `json:"bridge"`
	Actors       map[string]Actor     `json:"actors"`
	Objects      map[string]StrongRef `json:"objects"`
	Records      []Record             `json:"at_records"`
	APObjects    []json.RawMessage    `json:"ap_objects"`
	Handles      map[string]string    `json:"handles"`
	PDS          string               `json:"pds"`
	Blobs        map[string]Blob      `json:"blobs"`
	LinkPreviews map[string]Preview   `json:"link_previews"`
	Options      Options              `json:"options"`
	Incarnation  int64                `json:"incarnation"`
}

// adapterError is the result of a case that could not be run.
type adapterError struct {
	Error string `json:"error"`
}

// RunCase converts one case and gives its result, both JSON. The direction of the case is used if direction is empty.
// It never panics: whatever goes wrong is an {"error": ...}.
func RunCase(raw []byte, direction string) []byte {
	result, err := runCase(raw, direction)
	if err != nil {
		result = adapterError{err.Error()}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(result); err != nil {
		out.Reset()
		_ = enc.Encode(adapterError{err.Error()}) // a struct of one string always encodes
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

func runCase(raw []byte, direction string) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, fmt.Errorf("converting: %v", p)
		}
	}()
	var ac adapterCase
	if err := readLeniently(raw, &ac); err != nil {
		return nil, fmt.Errorf("reading case: %w", err)
	}
	if direction == "" {
		direction = ac.Direction
	}
	c, err := ac.Context.context()
	if err != nil {
		return nil, err
	}
	switch direction {
	case "ap-to-at":
		return activityResult(ac.Input, c)
	case "at-to-ap":
		return eventResult(ac.Input, c)
	}
	return nil, fmt.Errorf("unknown direction %.40q: ap-to-at or at-to-ap", direction)
}

// readLeniently decodes JSON; a member of another kind than expected counts as absent.
func readLeniently(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return nil
	}
	return err
}

func activityResult(input json.RawMessage, c *Context) (any, error) {
	r, err := FromActivity(input, c)
	if err != nil {
		return nil, err
	}
	// Empty lists are shown as such.
	r.Writes = append([]Write{}, r.Writes...)
	r.Reports = append([]map[string]any{}, r.Reports...)
	r.DMs = append([]DM{}, r.DMs...)
	return r, nil
}

func eventResult(input json.RawMessage, c *Context) (any, error) {
	var ev Event
	if err := readLeniently(input, &ev); err != nil {
		return nil, fmt.Errorf("reading event: %w", err)
	}
	r, err := FromEvent(ev, c)
	if err != nil {
		return nil, err
	}
	for _, a := range r.Activities {
		addSampleKey(a)
	}
	r.Activities = append([]map[string]any{}, r.Activities...)
	return r, nil
}

// sampleKey stands for the key that package activitypub adds to actors when it serves or sends them. Nobody keeps its
// private half.
const sampleKey = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0CLJ7BA1woCOdk1SBtdY
726oh/O6/pbArKDB932WSNdSjr8R23BqTuRsDgcwSpMcHESZIZf791F4y3RWn/PA
z5c3BD9LjjQ9lHgZS1IakcHWGMUQdOr5rV8o5Xni9okFGm3dp9yYKEE9OMPPdMhM
2fgt35AZCNuebZmlqSkq1/LrBIbRrr/6I3teiRXNoLls9J3eiobDnn0Au172GOnc
vuQk65GVIk+DYrv7aup9r4wUhX9AncOCHeIsAisrnJW0kPkXaMeKdkV3ECozlHpD
zlUj3664DxFTlQ0ilZhi9PRSB41deLH66baGuzhiwD5LPNBl4u3uj4trUgqnJnoR
fQIDAQAB
-----END PUBLIC KEY-----
`

func addSampleKey(activity map[string]any) {
	doc, _ := activity["object"].(map[string]any)
	id, _ := doc["id"].(string)
	if t := doc["type"]; t != "Person" && t != "Service" || activity["type"] != "Update" {
		return
	}
	doc["publicKey"] = map[string]any{"id": id + "#main-key", "owner": id, "publicKeyPem": sampleKey}
}

// context makes a Context of what a case says.
func (a *adapterContext) context() (*Context, error) {
	now, err := time.Parse(time.RFC3339Nano, a.Now)
	if err != nil {
		return nil, fmt.Errorf("reading now: %w", err)
	}
	c := &Context{
		Now: now.UTC(), Domain: a.Bridge.Domain, Actors: a.Actors, Objects: a.Objects, Handles: a.Handles, PDS: a.PDS,
		Blobs: a.Blobs, Previews: a.LinkPreviews, Options: a.Options, Incarnation: a.Incarnation,
		Records: make(map[string]Record, len(a.Records)), APObjects: make(map[string]json.RawMessage, len(a.APObjects)),
	}
	c.Options.SearchIndexing = true // everybody in a case has consented to every scope
	for _, r := range a.Records {
		c.Records[r.URI] = r
	}
	for _, raw := range a.APObjects {
		var o struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(raw, &o) == nil && o.ID != "" {
			c.APObjects[o.ID] = raw
		}
	}
	return c, nil
}
