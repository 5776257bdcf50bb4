package translate

import (
	"footbridge/activitypub/as2"
	"strings"
)

// audience is who may read something.
type audience uint8

const (
	audienceUnknown audience = iota
	audienceDirect
	audienceFollowers
	audienceUnlisted
	audiencePublic
)

// dropReason of an audience that stays home.
func (a audience) dropReason() DropReason {
	switch a {
	case audiencePublic:
		return None
	case audienceUnlisted:
		return DropUnlisted
	case audienceFollowers:
		return DropFollowersOnly
	case audienceDirect:
		return DropDirect
	}
	return DropNotPublic
}

// audienceOf classes an object and its activity. Both are asked, and the narrower one counts: a public envelope around
// a private letter, or the reverse, is private. No addressing at all is unknown, which is private.
func audienceOf(activity, object *as2.Value) audience {
	a, o := addressed(activity), addressed(object)
	switch {
	case o == audienceUnknown:
		return a
	case a == audienceUnknown:
		return o
	}
	return min(a, o)
}

func addressed(v *as2.Value) audience {
	to, cc, aud := v.Refs("to"), v.Refs("cc"), v.Refs("audience")
	switch {
	case anyPublic(to):
		return audiencePublic
	case anyPublic(cc), anyPublic(v.Refs("bto")), anyPublic(v.Refs("bcc")):
		return audienceUnlisted
	case len(to)+len(cc) == 0 && anyPublic(aud):
		// Owncast addresses its posts by audience alone.
		return audiencePublic
	case len(to)+len(cc)+len(v.Refs("bto"))+len(v.Refs("bcc")) == 0:
		return audienceUnknown
	}
	for _, id := range append(to, cc...) {
		if strings.HasSuffix(strings.TrimSuffix(id, "/"), "/followers") || strings.HasSuffix(id, "followers") {
			return audienceFollowers
		}
	}
	return audienceDirect
}

func anyPublic(ids []string) bool {
	for _, id := range ids {
		if as2.IsPublic(id) {
			return true
		}
	}
	return false
}
