package translate

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// Public is the audience of everybody (ActivityPub, section 5.6).
const Public = "https://www.w3.org/ns/activitystreams#Public"

// base is the root of the bridge's own ids. A domain may carry a scheme, because demo and tests run on loopback.
func base(domain string) string {
	if strings.Contains(domain, "://") {
		return strings.TrimRight(domain, "/")
	}
	return "https://" + domain
}

// incarnated marks a DID with the incarnation of the account; the first has no mark, so that most ids stay short. A DID
// never holds a tilde (did:plc and did:web grammars), so parsing back is unambiguous.
func incarnated(did string, n int64) string {
	if n > 1 {
		return did + "~" + strconv.FormatInt(n, 10)
	}
	return did
}

// ActorID is the id of the actor that stands for an AT native.
func ActorID(domain, did string, incarnation int64) string {
	return base(domain) + "/ap/" + incarnated(did, incarnation)
}

// ObjectID is the id of the object (or of the activity, for records that are activities: likes, reposts, follows,
// blocks) that stands for the record at uri. It is empty if uri is not the address of a record.
func ObjectID(domain, uri string, incarnation int64) string {
	did, collection, rkey, ok := SplitURI(uri)
	if !ok {
		return ""
	}
	return base(domain) + "/at/" + incarnated(did, incarnation) + "/" + collection + "/" + rkey
}

// SplitURI takes at://did/collection/rkey apart. Handles as authority are refused: records are addressed by DID.
func SplitURI(uri string) (did, collection, rkey string, ok bool) {
	rest, found := strings.CutPrefix(uri, "at://")
	if !found || len(uri) > 2048 {
		return "", "", "", false
	}
	did, rest, found = strings.Cut(rest, "/")
	if !found {
		return "", "", "", false
	}
	collection, rkey, found = strings.Cut(rest, "/")
	ok = found && isDID(did) && isSegment(collection, '.', '-') && isSegment(rkey, '.', '-', '_', ':', '~')
	return did, collection, rkey, ok
}

// OwnID is what an id of this bridge says about itself.
type OwnID struct {
	// DID of the AT native, and the incarnation of the account (from 1).
	DID         string
	Incarnation int64
	// Collection and RKey are empty for an actor.
	Collection, RKey string
	// Activity is what stands behind the #: create, update-<cid>, delete, undo, main-key.
	Activity string
	// Part is a path below an actor or object, such as inbox, outbox, or quoted-by/<base64url of the quoting id>.
	Part string
}

// URI is the address of the record, empty for an actor.
func (o OwnID) URI() string {
	if o.Collection == "" {
		return ""
	}
	return "at://" + o.DID + "/" + o.Collection + "/" + o.RKey
}

// ParseOwnID reads an id that ActorID, ObjectID or one of the functions below made.
func ParseOwnID(domain, id string) (OwnID, bool) {
	path, found := strings.CutPrefix(id, base(domain)+"/")
	if !found {
		return OwnID{}, false
	}
	path, fragment, _ := strings.Cut(path, "#")
	kind, path, _ := strings.Cut(path, "/")
	who, part, _ := strings.Cut(path, "/")
	out := OwnID{Activity: fragment, Part: part, Incarnation: 1}
	did, n, marked := strings.Cut(who, "~")
	if marked {
		v, err := strconv.ParseInt(n, 10, 64)
		if err != nil || v < 2 || strconv.FormatInt(v, 10) != n {
			return OwnID{}, false
		}
		out.Incarnation = v
	}
	out.DID = did
	if kind == "at" {
		out.Collection, part, _ = strings.Cut(part, "/")
		out.RKey, out.Part, _ = strings.Cut(part, "/")
		_, _, _, ok := SplitURI(out.URI())
		return out, ok
	}
	return out, kind == "ap" && isDID(did)
}

// Activity ids are derived from the id of what they are about, so that a replay has the same id.

// CreateID is the id of the Create of an object.
func CreateID(object string) string { return object + "#create" }

// UpdateID is the id of the Update that brings the version cid (or, for want of one, any other name of the version).
func UpdateID(object, version string) string { return object + "#update-" + version }

// DeleteID is the id of the Delete of an object or actor.
func DeleteID(object string) string { return object + "#delete" }

// UndoID is the id of the Undo of an activity.
func UndoID(activity string) string { return activity + "#undo" }

// QuoteRequestID is the id of the QuoteRequest (FEP-044f) that a quoting object sends.
func QuoteRequestID(object string) string { return object + "#quote-request" }

// QuoteAuthorizationID is the id of the stamp (FEP-044f) by which the author of quoted, an object of this bridge, lets
// quoting quote it. It says all that the stamp says, so that stamps can be served without being stored.
func QuoteAuthorizationID(quoted, quoting string) string {
	return quoted + "/quoted-by/" + base64.RawURLEncoding.EncodeToString([]byte(quoting))
}

// QuotingID is the id of the quoting object in the Part of a QuoteAuthorizationID.
func (o OwnID) QuotingID() (string, bool) {
	s, found := strings.CutPrefix(o.Part, "quoted-by/")
	if !found {
		return "", false
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	return string(b), err == nil && len(b) > 0
}

// WebURL is the page for people of a record or account on bsky.app, or empty if there is none.
func WebURL(uri string) string {
	did, collection, rkey, ok := SplitURI(uri)
	if !ok {
		return ""
	}
	profile := "https://bsky.app/profile/" + did
	switch collection {
	case nsidPost:
		return profile + "/post/" + rkey
	case nsidGenerator:
		return profile + "/feed/" + rkey
	case nsidList:
		return profile + "/lists/" + rkey
	case nsidStarterPack:
		return "https://bsky.app/starter-pack/" + did + "/" + rkey
	case nsidProfile, nsidLabeler:
		return profile
	}
	return ""
}

func isDID(s string) bool {
	method, id, found := strings.Cut(strings.TrimPrefix(s, "did:"), ":")
	if !strings.HasPrefix(s, "did:") || !found || method == "" || id == "" || len(s) > 2048 {
		return false
	}
	for i := range len(method) {
		if method[i] < 'a' || method[i] > 'z' {
			return false
		}
	}
	return isSegment(id, '.', '_', ':', '%', '-') && id[len(id)-1] != ':' && id[len(id)-1] != '%'
}

// isSegment reports whether s is 1 to 512 letters, digits and the given bytes, and not a dot segment of a path.
func isSegment(s string, extra ...byte) bool {
	if s == "" || len(s) > 512 || s == "." || s == ".." {
		return false
	}
next:
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' {
			continue
		}
		for _, x := range extra {
			if c == x {
				continue next
			}
		}
		return false
	}
	return true
}
