package consent

import (
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// Signal names something that a profile says about bridges. The names are shown to the person (R19).
type Signal string

// The signals that are honoured. The most restrictive wins.
const (
	SignalNoBridge      Signal = "nobridge"
	SignalNoBot         Signal = "nobot"
	SignalBridgeable    Signal = "bridgeable"
	SignalBridgePolicy  Signal = "bridge_policy"
	SignalUserIntents   Signal = "user_intents"
	SignalLocked        Signal = "locked"
	SignalNoUnauth      Signal = "no_unauthenticated"
	SignalWebVisibility Signal = "web_visibility"
	SignalSearchable    Signal = "searchable_by"
	SignalNotIndexable  Signal = "not_indexable"
	SignalNotDiscover   Signal = "not_discoverable"
	SignalNoTranslation Signal = "no_synthetic_content"
	SignalMoved         Signal = "moved"
	SignalSuspended     Signal = "suspended"
	SignalUnreadable    Signal = "unreadable"
)

// Signals is what was read from a profile.
type Signals struct {
	// Deny says that nothing may be bridged, and why; empty if nothing denies.
	Deny Signal
	// Declared is when the denial was written, if it says so. Only user intents may be overruled, by a newer E1 or E4.
	Declared time.Time
	// NoInvite forbids asking this person; implied by Deny.
	NoInvite bool
	// Needs are scopes without which nothing is published (despite_locked and the like).
	Needs []Scope
	// Forbid are scopes that stay closed whatever was ticked.
	Forbid []Scope
	// NoSearch, NoRecommend and NoTranslation are handed to the copy's profile and to translation.
	NoSearch, NoRecommend, NoTranslation bool
	// Moved is set when the account points to another one.
	Moved bool
	// Seen lists everything that was found.
	Seen []Signal
}

func (s *Signals) see(sig Signal) {
	if !slices.Contains(s.Seen, sig) {
		s.Seen = append(s.Seen, sig)
	}
}

func (s *Signals) deny(sig Signal) {
	s.see(sig)
	if s.Deny == "" || s.Deny == SignalUserIntents {
		s.Deny = sig
	}
	s.NoInvite = true
}

func (s *Signals) need(sig Signal, sc Scope) {
	s.see(sig)
	if !slices.Contains(s.Needs, sc) {
		s.Needs = append(s.Needs, sc)
	}
}

func (s *Signals) forbid(sc ...Scope) { s.Forbid = normList(append(s.Forbid, sc...)) }

func normList(in []Scope) []Scope {
	slices.Sort(in)
	return slices.Compact(in)
}

// Reader says for which bridge signals are read.
type Reader struct {
	// Bridge is the id of the bridge's own actor, or its host; both count as its name.
	Bridge string
	Now    time.Time
}

// ActorSignals reads an ActivityPub actor document. A document that cannot be read denies.
func (r Reader) ActorSignals(doc json.RawMessage) Signals {
	var s Signals
	m, ok := document(doc)
	if !ok {
		s.deny(SignalUnreadable)
		return s
	}
	s.tags(actorText(m))
	r.bridgeable(&s, m)
	r.bridgePolicy(&s, m.get("bridgePolicy"), "atproto")
	s.actorFlags(m)
	return s
}

func (s *Signals) actorFlags(m object) {
	if truth(m.get("manuallyApprovesFollowers")) == yes {
		s.need(SignalLocked, ScopeDespiteLocked)
	}
	// FEP-5feb: a missing indexable means false.
	if truth(m.get("indexable")) != yes {
		s.see(SignalNotIndexable)
		s.NoSearch = true
	}
	if truth(m.get("discoverable")) == no {
		s.see(SignalNotDiscover)
		s.NoSearch, s.NoRecommend = true, true
	}
	if truth(m.get("hidesToPublicFromUnauthedWeb")) == yes {
		s.need(SignalWebVisibility, ScopeDespiteNoUnauth)
	}
	if truth(m.get("hidesCcPublicFromUnauthedWeb")) == yes {
		s.see(SignalWebVisibility)
		s.forbid(ScopeUnlisted)
	}
	if restrictedSearch(m.get("searchableBy")) { // FEP-268d
		s.need(SignalSearchable, ScopeDespiteNoUnauth)
		s.NoSearch = true
	}
	if len(m.get("movedTo")) > 0 && string(m.get("movedTo")) != "null" {
		s.see(SignalMoved)
		s.Moved, s.NoInvite = true, true
	}
	if truth(m.get("suspended")) == yes {
		s.deny(SignalSuspended)
	}
}

// restrictedSearch: an empty list counts as absent.
func restrictedSearch(raw json.RawMessage) bool {
	vals := texts(raw)
	if len(vals) == 0 {
		return false
	}
	return !slices.ContainsFunc(vals, func(v string) bool {
		return v == "https://www.w3.org/ns/activitystreams#Public" || v == "as:Public" || v == "Public"
	})
}

// ProfileSignals reads an app.bsky.actor.profile record and whatever other records of the repo speak about bridges, by
// collection: org.user-intents.declaration (or its demo), app.bsky.actor.contentVisibilityDeclaration, and a record with a
// bridgePolicy. A nil profile is a person without one, which says nothing; an unreadable one denies.
func (r Reader) ProfileSignals(profile json.RawMessage, records map[string]json.RawMessage) Signals {
	var s Signals
	if len(profile) > 0 {
		m, ok := document(profile)
		if !ok {
			s.deny(SignalUnreadable)
			return s
		}
		s.tags(texts(m.get("displayName")), texts(m.get("description")), texts(m.get("pronouns")))
		r.bridgeable(&s, m)
		s.selfLabels(m.get("labels"))
	}
	for _, nsid := range sortedKeys(records) {
		r.record(&s, nsid, records[nsid])
	}
	return s
}

// DeclarationRecords are the collections, with rkey self, in which people of the ATmosphere declare what may be done with
// what they publish: proposal 0008 and its demonstration, and the wish not to be recommended.
func DeclarationRecords() []string {
	return []string{"org.user-intents.declaration", "org.user-intents.demo.declaration", "app.bsky.actor.contentVisibilityDeclaration"}
}

func (r Reader) record(s *Signals, nsid string, raw json.RawMessage) {
	m, ok := document(raw)
	if !ok {
		s.deny(SignalUnreadable)
		return
	}
	switch {
	case strings.HasPrefix(nsid, "org.user-intents.") && strings.HasSuffix(nsid, ".declaration"):
		s.intents(m)
	case nsid == "app.bsky.actor.contentVisibilityDeclaration":
		if truth(m.get("hideFromAlgorithmicRecommendations")) == yes {
			s.see(SignalNotDiscover)
			s.NoRecommend = true
		}
	default:
		r.bridgeable(s, m)
		r.bridgePolicy(s, m.get("bridgePolicy"), "activitypub")
	}
}

// intents reads proposal 0008. A missing entry, or one without allow, says nothing.
func (s *Signals) intents(m object) {
	bridging, _ := document(m.get("protocolBridging"))
	if truth(bridging.get("allow")) == no {
		first := s.Deny == ""
		s.deny(SignalUserIntents)
		if first {
			s.Declared = firstTime(bridging.get("updatedAt"), m.get("updatedAt"))
		}
	}
	synthetic, _ := document(m.get("syntheticContentGeneration"))
	if truth(synthetic.get("allow")) == no {
		s.see(SignalNoTranslation)
		s.NoTranslation = true
	}
}

func (s *Signals) selfLabels(raw json.RawMessage) {
	m, ok := document(raw)
	if !ok {
		return
	}
	var vals []struct {
		Val string `json:"val"`
	}
	if json.Unmarshal(m.get("values"), &vals) != nil {
		return
	}
	for _, v := range vals {
		if v.Val == "!no-unauthenticated" {
			s.need(SignalNoUnauth, ScopeDespiteNoUnauth)
			s.NoSearch = true
		}
	}
}

func (s *Signals) tags(fields ...[]string) {
	for _, field := range fields {
		for _, t := range field {
			t = plain(t)
			if noBridge.MatchString(t) {
				s.deny(SignalNoBridge)
			}
			if noBot.MatchString(t) {
				s.see(SignalNoBot)
				s.NoInvite = true
			}
		}
	}
}

var (
	noBridge = regexp.MustCompile(`(?i)#no[-_]?bridg(e|es|ed|ing|y|yfed)([^\p{L}\p{N}_]|$)`)
	noBot    = regexp.MustCompile(`(?i)#no[-_]?bots?([^\p{L}\p{N}_]|$)`)
	blockTag = regexp.MustCompile(`(?i)<\s*/?\s*(p|br|div|li|h[1-6]|blockquote)\b[^>]*>`)
	anyTag   = regexp.MustCompile(`<[^>]*>`)
)

// maxSignalText bounds what is searched of one field.
const maxSignalText = 64 << 10

// plain is what a reader sees of a field: no markup (hashtags are often split by spans), compatibility forms folded,
// invisible characters gone.
func plain(s string) string {
	s = s[:min(len(s), maxSignalText)]
	s = blockTag.ReplaceAllString(s, "\n")
	s = anyTag.ReplaceAllString(s, "")
	s = norm.NFKC.String(html.UnescapeString(s))
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\u00ad' || r == '\u034f' || (r >= '\u200b' && r <= '\u200f') || (r >= '\u202a' && r <= '\u202e') ||
			(r >= '\u2060' && r <= '\u2064') || (r >= '\ufe00' && r <= '\ufe0f') || r == '\ufeff':
			return -1
		}
		return r
	}, s)
}

// named tells whether s means this bridge: by the id of its actor, or by its host.
func (r Reader) named(s string) bool {
	return s != "" && (s == r.Bridge || strings.EqualFold(hostIn(s), hostIn(r.Bridge)))
}

// hostIn is the host of a URL, or of what is a bare host already.
func hostIn(s string) string {
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		return u.Host
	}
	return s
}

// bridgeable is FEP-0036. It was proposed as a boolean, and with more values; "ask" and "allow" say nothing (E5 never
// grants), a list names the bridges that are welcome, and what is not understood is a no.
func (r Reader) bridgeable(s *Signals, m object) {
	raw := m.get("bridgeable")
	switch truth(raw) {
	case absent, yes:
		return
	case no:
		s.deny(SignalBridgeable)
		return
	}
	for _, v := range texts(raw) {
		if slices.Contains([]string{"ask", "allow", "fine"}, strings.ToLower(v)) || r.named(v) {
			return
		}
	}
	s.deny(SignalBridgeable)
}
