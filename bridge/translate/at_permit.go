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
