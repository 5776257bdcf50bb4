package translate

import (
	"slices"
	"strings"
)

// apGates are the properties by which servers of the AP side say who may answer, like, boost or quote an object.
type apGates struct {
	Policy          map[string]map[string]any `json:"interactionPolicy"`
	CommentsEnabled any                       `json:"commentsEnabled"`
	CommentsPolicy  any                       `json:"commentsPolicy"`
}

// permitted reads the gate of an object before the event's author does something to it. What is said of nobody else is
// permitted; what a collection decides (followers, following) is left to the object's server, which knows who is in it,
// as is what needs its author's approval. So only what is sure to be refused is not sent.
func (j *atJob) permitted(t target, gate string) bool {
	me := j.me()
	if t.native != "ap" || t.author == me {
		return true
	}
	if gate == "canReply" && (t.doc.CommentsEnabled == false || t.doc.CommentsPolicy == float64(2)) {
		return false // Lemmy, Mobilizon and Pixelfed; PeerTube's 2 is "disabled"
	}
	rules, told := t.doc.Policy[gate]
	if !told || len(rules) == 0 {
		return true
	}
	for _, key := range []string{"automaticApproval", "manualApproval", "always", "approvalRequired"} {
		for _, id := range idsOf(rules[key]) {
			if id == me || id == Public || isCollectionOf(id, t.author) {
				return true
			}
		}
	}
	return gate == "canReply" && mentions(t.doc.Tag, me)
}

// threadClosed reads the threadgate of a thread of the AT side, where known. It reports a refusal only where the gate
// leaves no doubt: nobody may reply, or only people mentioned in a root that is known and does not mention the author.
// Who follows whom and who is on a list is for the AppView to say.
func (j *atJob) threadClosed(root string) bool {
	did, _, rkey, ok := SplitURI(root)
	if !ok || did == j.ev.DID {
		return false
	}
	gate := decodeRecord(j.c.Records["at://"+did+"/"+nsidThreadgate+"/"+rkey].Value)
	rules, told := gate["allow"].([]any)
	if !told || gate.str("post") != root {
		return false
	}
	for _, r := range rules {
		if asLex(r).typ() != nsidThreadgate+"#mentionRule" {
			return false
		}
	}
	post := decodeRecord(j.c.Records[root].Value)
	return len(rules) == 0 || post != nil && !mentionsDID(post, j.ev.DID)
}

// mentionsDID reports whether a post's facets mention somebody.
func mentionsDID(post lex, did string) bool {
	for _, f := range post.list("facets") {
		for _, feature := range asLex(f).list("features") {
			if m := asLex(feature); m.str("did") == did && m.typ() == "app.bsky.richtext.facet#mention" {
				return true
			}
		}
	}
	return false
}

// isCollectionOf tells a collection of an actor from somebody else's id. Some servers number them, so names count too.
func isCollectionOf(id, actor string) bool {
	return strings.HasPrefix(id, actor+"/") || strings.HasSuffix(id, "/followers") || strings.HasSuffix(id, "/following")
}

// idsOf reads a list of ids, or a single one.
func idsOf(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, e := range list {
		if id := firstID(e); id != "" {
			out = append(out, id)
		}
	}
	return out
}

// mentions reports whether tags mention somebody: who is mentioned may always answer (GoToSocial's policies).
func mentions(tags any, id string) bool {
	list, ok := tags.([]any)
	if !ok {
		list = []any{tags}
	}
	return slices.ContainsFunc(list, func(v any) bool {
		t := asLex(v)
		return strings.EqualFold(t.str("type"), "Mention") && t.str("href") == id
	})
}
