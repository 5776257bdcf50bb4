package translate

// contextTerms are the groups of JSON-LD terms beyond ActivityStreams that a document uses; only those are named in its
// @context, so that JSON-LD processors and readers of plain JSON see the same document.
type contextTerms uint16

const (
	termSensitive contextTerms = 1 << iota
	termHashtag
	termQuote
	termPolicy
	termReplyPolicy
	termConversation
	termActor
	termEvent
)

// noteTerms are all that a note may use.
const noteTerms = termSensitive | termHashtag | termQuote | termPolicy | termReplyPolicy | termConversation

const as2Context = "https://www.w3.org/ns/activitystreams"

// value is the @context.
func (t contextTerms) value() []any {
	terms := map[string]any{}
	if t&termSensitive != 0 {
		terms["sensitive"] = "as:sensitive"
	}
	if t&termHashtag != 0 {
		terms["Hashtag"] = "as:Hashtag"
	}
	if t&termConversation != 0 {
		terms["ostatus"], terms["conversation"] = "http://ostatus.org#", "ostatus:conversation"
	}
	t.quoteTerms(terms)
	t.policyTerms(terms)
	t.actorTerms(terms)
	t.eventTerms(terms)
	out := []any{as2Context}
	if t&termActor != 0 {
		out = append(out, "https://w3id.org/security/v1")
	}
	if len(terms) > 0 {
		out = append(out, terms)
	}
	return out
}

// idTerm is a term whose values are ids.
func idTerm(iri string) map[string]any { return map[string]any{"@id": iri, "@type": "@id"} }

func (t contextTerms) quoteTerms(terms map[string]any) {
	if t&termQuote == 0 {
		return
	}
	terms["quote"] = idTerm("https://w3id.org/fep/044f#quote")
	terms["quoteAuthorization"] = idTerm("https://w3id.org/fep/044f#quoteAuthorization")
	terms["quoteUrl"] = "as:quoteUrl"
	terms["quoteUri"] = "http://fedibird.com/ns#quoteUri"
	terms["_misskey_quote"] = "https://misskey-hub.net/ns#_misskey_quote"
}

func (t contextTerms) policyTerms(terms map[string]any) {
	if t&termPolicy == 0 {
		return
	}
	terms["gts"] = "https://gotosocial.org/ns#"
	for _, name := range []string{"interactionPolicy", "canQuote", "automaticApproval"} {
		terms[name] = idTerm("gts:" + name)
	}
	if t&termReplyPolicy == 0 {
		return
	}
	for _, name := range []string{"canReply", "manualApproval", "always", "approvalRequired"} {
		terms[name] = idTerm("gts:" + name)
	}
}

func (t contextTerms) actorTerms(terms map[string]any) {
	if t&termActor == 0 {
		return
	}
	terms["manuallyApprovesFollowers"] = "as:manuallyApprovesFollowers"
	terms["alsoKnownAs"] = idTerm("as:alsoKnownAs")
	terms["toot"] = "http://joinmastodon.org/ns#"
	terms["featured"] = idTerm("toot:featured")
	terms["discoverable"] = "toot:discoverable"
	terms["indexable"] = "toot:indexable"
	terms["schema"] = "http://schema.org#"
	terms["PropertyValue"] = "schema:PropertyValue"
	terms["value"] = "schema:value"
	terms["webfinger"] = "https://purl.archive.org/socialweb/webfinger#webfinger"
	terms["_misskey_requireSigninToViewContents"] = "https://misskey-hub.net/ns#_misskey_requireSigninToViewContents"
	terms["bridgeable"] = "https://w3id.org/fep/0036#bridgeable"
}

func (t contextTerms) eventTerms(terms map[string]any) {
	if t&termEvent == 0 {
		return
	}
	terms["ical"] = "http://www.w3.org/2002/12/cal/ical#"
	terms["mz"] = "https://joinmobilizon.org/ns#"
	terms["sc"] = "http://schema.org#"
	terms["joinMode"] = map[string]any{"@id": "mz:joinMode", "@type": "mz:joinModeType"}
	terms["isOnline"] = map[string]any{"@id": "mz:isOnline", "@type": "sc:Boolean"}
	terms["commentsEnabled"] = map[string]any{"@id": "pt:commentsEnabled", "@type": "sc:Boolean"}
	terms["pt"] = "https://joinpeertube.org/ns#"
	terms["timezone"] = map[string]any{"@id": "mz:timezone", "@type": "sc:Text"}
	for _, name := range []string{"PostalAddress", "address", "streetAddress", "addressLocality", "addressRegion", "addressCountry", "postalCode"} {
		terms[name] = "sc:" + name
	}
}
