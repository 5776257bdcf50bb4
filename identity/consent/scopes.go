package consent

import (
	"fmt"
	"slices"
	"strings"
)

// More scopes than the flows ask for by name: parts of the profile, acts that are private on one side and public on the
// other (R14), and choices to go on in spite of a signal.
const (
	ScopeProfileName     Scope = "profile.name"
	ScopeProfileBio      Scope = "profile.bio"
	ScopeProfileAvatar   Scope = "profile.avatar"
	ScopeProfileBanner   Scope = "profile.banner"
	ScopeProfileLinks    Scope = "profile.links"
	ScopeSelfReplies     Scope = "self_replies"
	ScopePublishRSVPs    Scope = "publish_rsvps"
	ScopePublishVotes    Scope = "publish_votes"
	ScopeSearchIndexing  Scope = "search_indexing"
	ScopeLoggedOutView   Scope = "logged_out_view"
	ScopeRecommendations Scope = "recommendations"
	ScopeFindable        Scope = "findable_by_my_follows"
	ScopeDespiteLocked   Scope = "despite_locked"
	ScopeDespiteNoUnauth Scope = "despite_no_unauthenticated"
)

// ScopeInfo describes a scope.
type ScopeInfo struct {
	Name Scope
	// Minimal scopes are in the two-click preset (`yes`); All are added by `yes all`. What is in neither is ticked
	// one by one on the page.
	Minimal, All bool
	// Warn scopes turn something private into something public, or overrule a wish of the person's own profile; the
	// form shows a sentence of warning beside them.
	Warn bool
	// Since is the policy version that brought the scope, or last gave it a wider meaning. A grant made under an
	// older policy does not cover it (R10).
	Since int64
}

// Scopes lists every scope, in the order of the form.
func Scopes() []ScopeInfo {
	return []ScopeInfo{
		{Name: ScopeProfile, Minimal: true, Since: 1},
		{Name: ScopeProfileName, Minimal: true, Since: 1},
		{Name: ScopeProfileBio, Minimal: true, Since: 1},
		{Name: ScopeProfileAvatar, Minimal: true, Since: 1},
		{Name: ScopeProfileBanner, Minimal: true, Since: 1},
		{Name: ScopeProfileLinks, Minimal: true, Since: 1},
		{Name: ScopePosts, Minimal: true, Since: 1},
		{Name: ScopeSelfReplies, Minimal: true, Since: 1},
		{Name: ScopeReplies, Minimal: true, Since: 1},
		{Name: ScopeMedia, Minimal: true, Since: 1},
		{Name: ScopeEdits, Minimal: true, Since: 1},
		{Name: ScopeQuotes, Minimal: true, Since: 1},
		{Name: ScopePolls, Minimal: true, Since: 1},
		{Name: ScopeBoosts, All: true, Since: 1},
		{Name: ScopeLikes, All: true, Warn: true, Since: 1},
		{Name: ScopePublishFollows, All: true, Warn: true, Since: 1},
		{Name: ScopeEvents, All: true, Since: 1},
		{Name: ScopePublishBlocks, Warn: true, Since: 1},
		{Name: ScopePublishRSVPs, Warn: true, Since: 1},
		{Name: ScopePublishVotes, Warn: true, Since: 1},
		{Name: ScopeUnlisted, Warn: true, Since: 1},
		{Name: ScopeSearchIndexing, Since: 1},
		{Name: ScopeLoggedOutView, Since: 1},
		{Name: ScopeRecommendations, Since: 1},
		{Name: ScopeFindable, Since: 1},
		{Name: ScopeDespiteLocked, Warn: true, Since: 1},
		{Name: ScopeDespiteNoUnauth, Warn: true, Since: 1},
	}
}

// MinimalScopes is the two-click preset: public profile, own new public posts, replies to people who also joined.
func MinimalScopes() []Scope { return pick(func(i ScopeInfo) bool { return i.Minimal }) }

// AllScopes is what `yes all` grants: the preset, and boosts, likes, follows and events. Blocks, answers to invitations,
// votes and unlisted posts are never part of a preset.
func AllScopes() []Scope { return pick(func(i ScopeInfo) bool { return i.Minimal || i.All }) }

func pick(want func(ScopeInfo) bool) []Scope {
	var out []Scope
	for _, i := range Scopes() {
		if want(i) {
			out = append(out, i.Name)
		}
	}
	return normScopes(out)
}

// ParseScope accepts the names in Scopes only.
func ParseScope(s string) (Scope, error) {
	if _, ok := scopeInfo(Scope(s)); ok {
		return Scope(s), nil
	}
	return "", fmt.Errorf("not a scope: %.40q", s)
}

func scopeInfo(s Scope) (ScopeInfo, bool) {
	for _, i := range Scopes() {
		if i.Name == s {
			return i, true
		}
	}
	return ScopeInfo{}, false
}

// normScopes sorts, removes doubles, and drops parts of a profile that is not granted as a whole.
func normScopes(in []Scope) []Scope {
	out := slices.Clone(in)
	slices.Sort(out)
	out = slices.Compact(out)
	if !slices.Contains(out, ScopeProfile) {
		out = slices.DeleteFunc(out, func(s Scope) bool { return strings.HasPrefix(string(s), "profile.") })
	}
	return out
}

// knownScopes reports an error that names the first unknown scope.
func knownScopes(in []Scope) error {
	for _, s := range in {
		if _, err := ParseScope(string(s)); err != nil {
			return err
		}
	}
	return nil
}

// without is what of in is not in drop.
func without(in, drop []Scope) []Scope {
	return slices.DeleteFunc(slices.Clone(in), func(s Scope) bool { return slices.Contains(drop, s) })
}

// Option names a choice that is not a yes or no.
type Option string

// The options of a grant.
const (
	OptionDirection     Option = "direction"
	OptionEventLocation Option = "event_location_precision"
	OptionHistory       Option = "history"
	OptionCWMode        Option = "cw_mode"
	OptionLongMode      Option = "long_mode"
	OptionWhoMayReply   Option = "who_may_reply"
	OptionWhoMayQuote   Option = "who_may_quote"
	OptionDestinations  Option = "destinations"
	OptionUnbridged     Option = "notify_me_of_unbridged"
	OptionAutoDelete    Option = "auto_delete_after"
	OptionQuoteUnjoined Option = "quote_of_unjoined"
)

// OptionInfo describes an option: the first value is the default, chosen for the least surprise.
type OptionInfo struct {
	Name   Option
	Values []string
}

// OptionList lists the options in the order of the form. auto_delete_after is in days.
func OptionList() []OptionInfo {
	return []OptionInfo{
		{OptionDirection, []string{"both", "out", "in"}},
		{OptionLongMode, []string{"card", "thread"}},
		{OptionCWMode, []string{"link", "text", "skip"}},
		{OptionQuoteUnjoined, []string{"text", "skip"}},
		{OptionHistory, []string{"none", "pinned"}},
		{OptionEventLocation, []string{"none", "city", "full"}},
		{OptionWhoMayReply, []string{"anyone", "followers", "mentioned", "nobody"}},
		{OptionWhoMayQuote, []string{"anyone", "followers", "nobody"}},
		{OptionDestinations, []string{"any", "allow-list"}},
		{OptionUnbridged, []string{"count", "none", "handle"}},
		{OptionAutoDelete, []string{"never", "7", "30", "90"}},
	}
}

// Options are the choices that differ from the default, by name.
type Options map[Option]string

// Get is the choice or the default.
func (o Options) Get(name Option) string {
	if v, ok := o[name]; ok {
		return v
	}
	for _, i := range OptionList() {
		if i.Name == name {
			return i.Values[0]
		}
	}
	return ""
}

// Check rejects unknown names and values.
func (o Options) Check() error {
	for name, v := range o {
		at := slices.IndexFunc(OptionList(), func(i OptionInfo) bool { return i.Name == name })
		if at < 0 || !slices.Contains(OptionList()[at].Values, v) {
			return fmt.Errorf("not an option: %.40q = %.40q", name, v)
		}
	}
	return nil
}
