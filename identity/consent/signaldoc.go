package consent

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// object is a JSON object whose keys may be compact, prefixed or whole IRIs, as JSON-LD allows.
type object map[string]json.RawMessage

func document(raw json.RawMessage) (object, bool) {
	var m object
	if len(raw) > maxEvidence || json.Unmarshal(raw, &m) != nil || m == nil {
		return nil, false
	}
	return m, true
}

// get finds a property by its short name; of several spellings the plain one comes first, and a prefixed one counts only
// where there is no plain one.
func (m object) get(name string) json.RawMessage {
	if v, ok := m[name]; ok {
		return v
	}
	for _, k := range sortedKeys(m) {
		if strings.HasSuffix(k, ":"+name) || strings.HasSuffix(k, "#"+name) || strings.HasSuffix(k, "/"+name) {
			return m[k]
		}
	}
	return nil
}

func sortedKeys[M ~map[string]json.RawMessage](m M) []string {
	return slices.Sorted(maps.Keys(m))
}

type tri uint8

const (
	absent tri = iota
	yes
	no
	other
)

// truth reads a boolean as careless senders write it.
func truth(raw json.RawMessage) tri {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil {
		return absent
	}
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	if o, ok := v.(map[string]any); ok && o["@value"] != nil {
		v = o["@value"]
	}
	switch x := v.(type) {
	case nil:
		return absent
	case bool:
		if x {
			return yes
		}
		return no
	case float64:
		if x == 0 {
			return no
		}
	case string:
		switch strings.ToLower(strings.TrimSpace(x)) {
		case "true", "yes":
			return yes
		case "false", "no", "never", "deny", "none":
			return no
		}
	}
	return other
}

// texts collects the strings of a value: itself, the items of a list, or the values of a language map.
func texts(raw json.RawMessage) []string {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil {
		return nil
	}
	var out []string
	collect(v, 4, &out)
	return out
}

func collect(v any, depth int, out *[]string) {
	if depth == 0 || len(*out) > 256 {
		return
	}
	switch x := v.(type) {
	case string:
		*out = append(*out, x)
	case []any:
		for _, e := range x {
			collect(e, depth-1, out)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(x)) {
			collect(x[k], depth-1, out)
		}
	}
}

// actorText is everything in which people write #nobridge.
func actorText(m object) []string {
	out := texts(m.get("name"))
	for _, k := range []string{"nameMap", "summary", "summaryMap", "_misskey_summary"} {
		out = append(out, texts(m.get(k))...)
	}
	for _, k := range []string{"attachment", "tag"} {
		for _, o := range objects(m.get(k)) {
			out = append(out, texts(o.get("name"))...)
			out = append(out, texts(o.get("value"))...)
		}
	}
	return out
}

// objects reads a list of objects, or one alone.
func objects(raw json.RawMessage) []object {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	var out []object
	for _, r := range list[:min(len(list), 256)] {
		if o, ok := document(r); ok {
			out = append(out, o)
		}
	}
	return out
}

func firstTime(raws ...json.RawMessage) time.Time {
	for _, raw := range raws {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			continue
		}
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// bridgePolicy reads the superset of FEP-0036 that safety.md 1.8 proposes. Rules that name this bridge count before the
// default; of several, a denial wins; allow only limits, because E5 never grants.
func (r Reader) bridgePolicy(s *Signals, raw json.RawMessage, network string) {
	if len(raw) == 0 || string(raw) == "null" {
		return
	}
	var p bridgePolicy
	if json.Unmarshal(raw, &p) != nil {
		s.deny(SignalBridgePolicy)
		return
	}
	if p.NeverAsk {
		s.see(SignalBridgePolicy)
		s.NoInvite = true
	}
	allowed, denied := r.matching(p.Rules, network)
	switch {
	case denied:
		s.deny(SignalBridgePolicy)
	case len(allowed) > 0:
		s.limit(allowed)
	case p.Default != "ask" && p.Default != "allow":
		s.deny(SignalBridgePolicy)
	}
}

type bridgePolicy struct {
	Default  string       `json:"default"`
	Rules    []policyRule `json:"rules"`
	NeverAsk bool         `json:"neverAsk"`
}

type policyRule struct {
	Bridge  string   `json:"bridge"`
	Network string   `json:"network"`
	Effect  string   `json:"effect"`
	Scopes  *[]Scope `json:"scopes"`
	Expires string   `json:"expires"`
}

func (r Reader) matching(rules []policyRule, network string) (allowed []policyRule, denied bool) {
	for _, rule := range rules {
		if rule.Bridge != "*" && !r.named(rule.Bridge) {
			continue
		}
		if rule.Network != "" && rule.Network != network {
			continue
		}
		if rule.Effect != "allow" {
			denied = denied || rule.Effect != "ask"
			continue
		}
		if !expired(rule.Expires, r.Now) {
			allowed = append(allowed, rule)
		}
	}
	return allowed, denied
}

// expired: an expiry that cannot be read has passed.
func expired(s string, now time.Time) bool {
	if s == "" {
		return false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return err != nil || !now.Before(t)
}

// limit closes the scopes that a rule with a list does not name.
func (s *Signals) limit(rules []policyRule) {
	s.see(SignalBridgePolicy)
	for _, rule := range rules {
		if rule.Scopes == nil {
			continue
		}
		for _, i := range Scopes() {
			if !covers(*rule.Scopes, i.Name) {
				s.forbid(i.Name)
			}
		}
	}
}

// covers tells whether a list names a scope or, for a part of the profile, the whole.
func covers(list []Scope, sc Scope) bool {
	whole, _, part := strings.Cut(string(sc), ".")
	return slices.Contains(list, sc) || part && slices.Contains(list, Scope(whole))
}
