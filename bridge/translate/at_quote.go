package translate

import (
	"slices"
	"strings"
)

// quoteRel is the relation of FEP-e232 links that mark a quote.
const quoteRel = "https://misskey-hub.net/ns#_misskey_quote"

// as2MediaType marks a link to an AS2 object (FEP-e232).
const as2MediaType = `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`

// record carries an embedded record: a quote if it is a post, else a link.
func (n *note) record(uri string) DropReason {
	_, collection, _, ok := SplitURI(uri)
	if !ok {
		n.lose(LossEmbed, uri)
		return None
	}
	t, why := n.find(uri)
	switch {
	case why == None && isQuotable(collection):
		if n.gated(t) {
			return n.notShared()
		}
		if !n.permitted(t, "canQuote") {
			n.lose(LossQuoteNotAllowed, "")
			n.shows = true
			n.reLine("", t.id, t.uri, t.id)
			return None
		}
		n.quote(t)
	case why == None || why == DropTargetNotShared: // its author joined, and it has a page of its own
		n.linkRecord(uri, collection)
	default:
		return n.notShared()
	}
	return None
}

// isQuotable tells which records become objects that can be quoted.
func isQuotable(collection string) bool {
	return collection == nsidPost || collection == nsidDocument || collection == nsidEvent
}

// notShared says in the author's language that something is quoted which is not here, and nothing more (R36). A post
// that is nothing but such a quote is not carried.
func (n *note) notShared() DropReason {
	n.lose(LossQuoteNotShared, "")
	if n.c.Options.SkipQuotesOfOthers || !n.shows {
		return DropQuoteNotShared
	}
	n.line(func() { n.html.plain("(" + n.lines.quoteNotShared + ")") })
	return None
}

// gated reads the postgate of a quoted post of the AT side, where known.
func (n *note) gated(t target) bool {
	did, _, rkey, _ := SplitURI(t.uri)
	if did == n.ev.DID {
		return false
	}
	gate := decodeRecord(n.c.Records["at://"+did+"/"+nsidPostgate+"/"+rkey].Value)
	return hasRule(gate.list("embeddingRules"), nsidPostgate+"#disableRule") || slices.Contains(gate.list("detachedEmbeddingUris"), any(n.uri))
}

// quote sets all forms of a quote that are read somewhere: FEP-044f (Mastodon), quoteUrl (Misskey, Pleroma), quoteUri
// (Fedibird), _misskey_quote, the FEP-e232 link, and for everybody else a line with the address, in the class by which
// those who show quotes take it away.
func (n *note) quote(t target) {
	for _, key := range []string{"quote", "quoteUrl", "quoteUri", "_misskey_quote"} {
		n.doc[key] = t.id
	}
	n.ctx |= termQuote
	if t.native == "at" && t.author != n.me() {
		// Both live here, and the gate was read: the bridge answers for the quoted author. A native author of the
		// other side is asked by QuoteRequest.
		n.doc["quoteAuthorization"] = QuoteAuthorizationID(t.id, n.id)
	}
	href := quoteHref(t)
	n.text.tags.add("quote", map[string]any{
		"type": "Link", "mediaType": as2MediaType, "rel": quoteRel, "href": t.id, "name": "RE: " + href,
	})
	n.address(t.author)
	n.shows = true
	n.reLine(` class="quote-inline"`, href, t.uri, t.id)
}

// quoteHref is where people go to see the quoted object.
func quoteHref(t target) string {
	if t.native == "at" {
		if u := WebURL(t.uri); u != "" {
			return u
		}
	}
	return t.id
}

// reLine adds the line with the address, unless the text leads there already. The class is for quotes alone: those who
// know it hide such lines.
func (n *note) reLine(class, href, uri, id string) {
	if n.linksTo(href) || n.linksTo(id) || n.linksToPage(uri) {
		return
	}
	n.html.WriteString("<p" + class + ">RE: ")
	n.html.link(href, linkAttributes, href, "")
	n.html.WriteString("</p>")
}

// linksToPage reports a link to the page of a record under the handle of its author.
func (n *note) linksToPage(uri string) bool {
	did, _, rkey, _ := SplitURI(uri)
	for _, l := range n.text.links {
		rest, ok := strings.CutPrefix(l, "https://bsky.app/profile/")
		who, tail, _ := strings.Cut(rest, "/")
		_, name, _ := strings.Cut(tail, "/")
		if ok && name == rkey && (who == did || n.c.Handles[strings.ToLower(who)] == did) {
			return true
		}
	}
	return false
}

// linkRecord adds a link to a record that is no quote: a feed, a list, a starter pack, or a post that was not bridged of
// somebody who joined.
func (n *note) linkRecord(uri, collection string) {
	href := WebURL(uri)
	if href == "" {
		n.lose(LossEmbed, collection)
		n.original()
		return
	}
	if collection == nsidPost {
		n.lose(LossQuoteNotBridged, "")
		n.shows = true
		n.reLine("", href, uri, href)
		return
	}
	if n.linksTo(href) {
		return
	}
	title := recordTitle(decodeRecord(n.c.Records[uri].Value))
	if title == "" {
		title = href
	}
	n.line(func() { n.html.link(href, linkAttributes, title, "") })
}

// recordTitle is the name of a feed, list or starter pack.
func recordTitle(rec lex) string {
	for _, key := range []string{"displayName", "name", "title"} {
		if s := strings.TrimSpace(rec.str(key)); s != "" && !strings.Contains(s, "://") {
			return s
		}
	}
	return ""
}
