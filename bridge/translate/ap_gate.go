package translate

import (
	"footbridge/activitypub/as2"
	"strings"
)

// gates are the rules of who may reply and quote, as threadgate and postgate of the post at uri. What the lexicon
// cannot say becomes stricter, never looser; manual approval is no approval.
func (j *apJob) gates(o *as2.Value, uri string, reply bool, createdAt string) []Write {
	var out []Write
	if allow, restricted := j.replyRules(o); restricted {
		if reply {
			// Only the root of a thread has a gate.
			j.lose(LossReplyPolicy, "")
		} else {
			out = append(out, j.aux(uri, nsidThreadgate, map[string]any{
				"$type": nsidThreadgate, "post": uri, "allow": allow, "createdAt": createdAt,
			}))
		}
	}
	if !j.quotable(o) {
		out = append(out, j.aux(uri, nsidPostgate, map[string]any{
			"$type": nsidPostgate, "post": uri, "createdAt": createdAt,
			"embeddingRules": []any{map[string]any{"$type": nsidPostgate + "#disableRule"}},
		}))
	}
	return out
}

// replyRules reads who may reply without being asked: interactionPolicy (GoToSocial, FEP-044f) first, then the
// switches of Pixelfed, PeerTube, Lemmy and Mobilizon.
func (j *apJob) replyRules(o *as2.Value) (allow []any, restricted bool) {
	allow = []any{}
	can := o.Get("interactionPolicy").Get("canReply")
	if can.IsZero() {
		caps := o.Get("capabilities")
		closed := isFalse(o.Get("commentsEnabled")) || o.Get("repliesModerationOption").Str() == "closed" ||
			isFalse(o.Get("repliesEnabled")) || caps.IsObject() && caps.Get("reply").Kind() == as2.Null
		return allow, closed
	}
	ids := append(can.Refs("automaticApproval"), can.Refs("always")...)
	if len(ids) == 0 && !can.Has("manualApproval") && !can.Has("approvalRequired") {
		// An empty rule is an absent one in JSON-LD (FEP-044f).
		return allow, false
	}
	if anyPublic(ids) {
		return allow, false
	}
	// GoToSocial lets people who are mentioned reply under any rule.
	if len(j.mentions) > 0 {
		allow = append(allow, map[string]any{"$type": nsidThreadgate + "#mentionRule"})
	}
	for _, id := range ids {
		switch {
		case id == j.actorID:
		case strings.HasSuffix(id, "/followers"):
			allow = append(allow, map[string]any{"$type": nsidThreadgate + "#followerRule"})
		case strings.HasSuffix(id, "/following"):
			allow = append(allow, map[string]any{"$type": nsidThreadgate + "#followingRule"})
		default:
			j.lose(LossReplyPolicy, "")
		}
	}
	return allow, true
}

func isFalse(v *as2.Value) bool { return v.Kind() == as2.Bool && !v.Bool() }

// quotable tells whether anybody may quote without being asked. A policy that does not speak of quotes is the fediverse's
// default of before quotes, and forbids nothing.
func (j *apJob) quotable(o *as2.Value) bool {
	can := o.Get("interactionPolicy").Get("canQuote")
	if can.IsZero() {
		return true
	}
	ids := append(can.Refs("automaticApproval"), can.Refs("always")...)
	if len(ids) == 0 && !can.Has("manualApproval") && !can.Has("approvalRequired") {
		return true
	}
	return anyPublic(ids)
}
