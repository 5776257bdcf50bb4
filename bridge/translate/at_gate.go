package translate

import (
	"slices"
	"strings"
)

// gates are the gates of the post at hand, where an event tells newer ones than the context's records. A nil value says
// that the gate is gone.
type gates map[string]lex

// gate finds the threadgate or postgate of a post: same repo, same rkey.
func (n *note) gate(collection string) lex {
	if g, told := n.gates[collection]; told {
		return g
	}
	did, _, rkey, _ := SplitURI(n.uri)
	return decodeRecord(n.c.Records["at://"+did+"/"+collection+"/"+rkey].Value)
}

// policy says who may quote and reply, in the terms of GoToSocial and FEP-044f. Whoever does not say so is not quotable
// on Mastodon, so canQuote is always there. An empty list is the same as none in JSON-LD; nobody is therefore spelled
// as the author alone.
func (n *note) policy() {
	quoters := []any{Public}
	postgate := n.gate(nsidPostgate)
	if hasRule(postgate.list("embeddingRules"), nsidPostgate+"#disableRule") {
		quoters = []any{n.me()}
	}
	policy := map[string]any{"canQuote": map[string]any{"automaticApproval": quoters}}
	if threadgate := n.gate(nsidThreadgate); threadgate != nil {
		n.replyPolicy(policy, threadgate)
	}
	n.doc["interactionPolicy"] = policy
	n.ctx |= termPolicy
}

func hasRule(rules []any, typ string) bool {
	return slices.ContainsFunc(rules, func(r any) bool { return asLex(r).typ() == typ })
}

// replyPolicy maps a threadgate's rules. Without allow everybody may reply; an empty allow means nobody.
func (n *note) replyPolicy(policy map[string]any, gate lex) {
	if len(gate.list("hiddenReplies")) > 0 {
		n.lose(LossHiddenReplies, "")
	}
	if gate["allow"] == nil {
		return
	}
	automatic, manual := []any{n.me()}, []any{}
	for _, r := range gate.list("allow") {
		switch asLex(r).typ() {
		case nsidThreadgate + "#mentionRule":
			automatic = append(automatic, anyList(n.text.mentioned)...)
		case nsidThreadgate + "#followerRule":
			automatic = append(automatic, n.me()+"/followers")
		case nsidThreadgate + "#followingRule":
			automatic = append(automatic, n.me()+"/following")
		default:
			// Who is on a list is not told to other servers: the bridge decides case by case.
			n.lose(LossReplyPolicy, asLex(r).typ())
			manual = []any{Public}
		}
	}
	automatic = distinct(automatic)
	// always and approvalRequired are the names before GoToSocial 0.20.
	can := map[string]any{"automaticApproval": automatic, "always": automatic}
	if len(manual) > 0 {
		can["manualApproval"], can["approvalRequired"] = manual, manual
	}
	policy["canReply"] = can
	n.ctx |= termReplyPolicy
}

// distinct keeps the first of equal strings.
func distinct(in []any) []any {
	seen := make(map[any]bool, len(in))
	out := in[:0:0]
	for _, v := range in {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// gateEvent carries a change of a gate as an Update of its post, and revokes the stamps of quotes that were detached.
func (j *atJob) gateEvent(collection, rkey string) ([]map[string]any, DropReason) {
	uri := "at://" + j.ev.DID + "/" + nsidPost + "/" + rkey
	gate := decodeRecord(j.ev.Record)
	if j.ev.Action != "delete" && gate.str("post") != uri {
		return nil, DropMalformed
	}
	id, bridged := j.object(uri)
	if !bridged {
		return nil, DropTargetNotShared
	}
	j.gates = gates{collection: gate}
	doc, ctx, why := j.regated(uri, id)
	if why != None {
		return nil, why
	}
	out := []map[string]any{j.wrap("Update", UpdateID(id, j.version("gate")), doc, ctx)}
	return append(out, j.revoked(collection, id, gate)...), None
}

// regated is a bridged note with the policy that its gates now give it. The note as it was sent is taken where it is
// known: converting its record again would need all that the record refers to.
func (j *atJob) regated(uri, id string) (map[string]any, contextTerms, DropReason) {
	doc := decodeRecord(j.c.APObjects[id])
	if !isWhole(doc) {
		post := decodeRecord(j.c.Records[uri].Value)
		if post == nil {
			return nil, 0, DropUnknownTarget
		}
		return j.note(uri, post)
	}
	delete(doc, "@context")
	n := &note{atJob: j, uri: uri, id: id, doc: doc, text: &richText{}, ctx: noteTerms}
	for _, t := range doc.list("tag") {
		if asLex(t).str("type") == "Mention" {
			n.text.mentioned = append(n.text.mentioned, asLex(t).str("href"))
		}
	}
	n.policy()
	return n.doc, n.ctx, None
}

// isWhole reports whether a document is a note as this package makes it, not an excerpt.
func isWhole(doc lex) bool {
	return doc.str("type") == "Note" && doc.str("content") != "" && doc.str("published") != "" && doc.list("to") != nil && doc.list("cc") != nil
}

// revoked makes a Delete of the stamp of each quote that the gate newly detaches and that lives on the AP side.
func (j *atJob) revoked(collection, quoted string, gate lex) []map[string]any {
	if collection != nsidPostgate {
		return nil
	}
	before := decodeRecord(j.ev.Previous).list("detachedEmbeddingUris")
	var out []map[string]any
	for _, v := range gate.list("detachedEmbeddingUris") {
		uri, _ := v.(string)
		quoting, ok := j.object(uri)
		if !ok || slices.Contains(before, v) || len(out) >= 50 {
			continue
		}
		stamp := QuoteAuthorizationID(quoted, quoting)
		did, _, _, _ := SplitURI(uri)
		to := []any{Public}
		if author, _, joined := j.actor(did); joined {
			to = append(to, author)
		}
		out = append(out, map[string]any{
			"@context": contextTerms(0).value(), "id": DeleteID(stamp), "type": "Delete",
			"actor": j.me(), "object": stamp, "to": to, "cc": []any{},
		})
	}
	return out
}

// QuoteAuthorization is the stamp (FEP-044f) that stands behind a QuoteAuthorizationID.
func QuoteAuthorization(quotedActor, quoted, quoting string) map[string]any {
	const fep = "https://w3id.org/fep/044f#"
	return map[string]any{
		"@context": []any{as2Context, map[string]any{
			"QuoteAuthorization": fep + "QuoteAuthorization",
			"gts":                "https://gotosocial.org/ns#",
			"interactingObject":  idTerm("gts:interactingObject"),
			"interactionTarget":  idTerm("gts:interactionTarget"),
		}},
		"type":              "QuoteAuthorization",
		"id":                QuoteAuthorizationID(quoted, quoting),
		"attributedTo":      quotedActor,
		"interactingObject": quoting,
		"interactionTarget": quoted,
	}
}

// QuoteRequest asks the author of a quoted post of the AP side for a stamp (FEP-044f). The note is one that
// NoteDocument or FromEvent made; nil comes back if it quotes nobody, or somebody of this bridge.
func QuoteRequest(note map[string]any, c *Context) map[string]any {
	quoted, _ := note["quote"].(string)
	id, _ := note["id"].(string)
	actor, _ := note["attributedTo"].(string)
	if _, own := ParseOwnID(c.Domain, quoted); quoted == "" || id == "" || own {
		return nil
	}
	j := newATJob(Event{}, c)
	did, _, _, _ := SplitURI(c.Objects[quoted].URI)
	author, _, joined := j.actor(did)
	if !joined {
		return nil
	}
	instrument := make(map[string]any, len(note))
	for k, v := range note {
		if !strings.HasPrefix(k, "@") {
			instrument[k] = v
		}
	}
	return map[string]any{
		"@context": append(noteTerms.value(),
			map[string]any{"QuoteRequest": "https://w3id.org/fep/044f#QuoteRequest"}),
		"type": "QuoteRequest", "id": QuoteRequestID(id), "actor": actor,
		"object": quoted, "instrument": instrument, "to": []any{author}, "cc": []any{},
	}
}
