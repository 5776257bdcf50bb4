package translate

// DropReason says why an input is not bridged. The list is closed: it is a metric label, a row in the log of the
// bridge and a line on the member's page, so a reason is added here and to dropTexts or it does not exist.
type DropReason string

// The reasons. None means that something is bridged.
const (
	None DropReason = ""
	// Audience.
	DropNotPublic     DropReason = "not_public"
	DropUnlisted      DropReason = "unlisted"
	DropFollowersOnly DropReason = "followers_only"
	DropDirect        DropReason = "direct"
	// Consent.
	DropAuthorNotJoined DropReason = "author_not_joined"
	DropTargetNotJoined DropReason = "target_not_joined"
	DropParentNotShared DropReason = "parent_not_shared"
	DropQuoteNotShared  DropReason = "quote_not_shared"
	DropTargetNotShared DropReason = "target_not_shared"
	DropByChoice        DropReason = "members_choice"
	DropLoggedInOnly    DropReason = "logged_in_only"
	// Authority.
	DropNotOwner   DropReason = "not_owner"
	DropLoop       DropReason = "loop"
	DropSelf       DropReason = "self_interaction"
	DropGated      DropReason = "gated"
	DropOwnNetwork DropReason = "same_network"
	// Kind.
	DropVote            DropReason = "poll_vote"
	DropMessage         DropReason = "private_message"
	DropStory           DropReason = "ephemeral"
	DropUnsupportedType DropReason = "unsupported_type"
	DropNoCounterpart   DropReason = "no_counterpart"
	DropHandshake       DropReason = "handshake"
	DropGroupRelay      DropReason = "group_relay"
	// State.
	DropUnknownTarget DropReason = "unknown_target"
	DropUnchanged     DropReason = "unchanged"
	DropStale         DropReason = "stale"
	DropEmpty         DropReason = "empty"
	DropMalformed     DropReason = "malformed"
	DropMoved         DropReason = "account_moved"
	DropOverLimits    DropReason = "over_limits"
)

// dropTexts says each reason in plain words, for documents and pages.
var dropTexts = map[DropReason]string{
	DropNotPublic:       "the audience is not known to be public, so it counts as private",
	DropUnlisted:        "unlisted (quiet public) posts stay home",
	DropFollowersOnly:   "a post for followers only stays home",
	DropDirect:          "a post for the people it names stays home",
	DropAuthorNotJoined: "its author has not joined",
	DropTargetNotJoined: "the person it is about has not joined",
	DropParentNotShared: "it answers a post that is not shared here",
	DropQuoteNotShared:  "it quotes a post that is not shared here, and the author asked to skip such posts",
	DropTargetNotShared: "it is about a post that is not shared here",
	DropByChoice:        "the member chose not to share posts of this kind",
	DropLoggedInOnly:    "its author shows posts to signed-in people only",
	DropNotOwner:        "the sender does not own what would change",
	DropLoop:            "it is a copy that the bridge made itself",
	DropSelf:            "a person cannot do this to themselves on the other network",
	DropGated:           "the author of the parent or quoted post does not allow it",
	DropOwnNetwork:      "both people are on the same network, which carries it already",
	DropVote:            "votes in polls are not bridged",
	DropMessage:         "private messages are not bridged",
	DropStory:           "posts that vanish by themselves stay home",
	DropUnsupportedType: "the bridge does not know this type",
	DropNoCounterpart:   "the other network has nothing like it",
	DropHandshake:       "it is an answer between servers, not a post",
	DropGroupRelay:      "it was passed on by a group or relay; the original is what counts",
	DropUnknownTarget:   "what it would change or remove was never bridged",
	DropUnchanged:       "nothing that is carried has changed",
	DropStale:           "a newer version has been bridged already",
	DropEmpty:           "nothing would be left to show",
	DropMalformed:       "it lacks what every document of its type has",
	DropMoved:           "the account has moved; its owner is asked again under the new address",
	DropOverLimits:      "it is larger or nested deeper than any real document, or says one thing twice",
}

// Text is the reason in plain words.
func (r DropReason) Text() string { return dropTexts[r] }

// DropReasons lists every reason, for metrics and documents; the order is not stable.
func DropReasons() []DropReason {
	out := make([]DropReason, 0, len(dropTexts))
	for r := range dropTexts {
		out = append(out, r)
	}
	return out
}
