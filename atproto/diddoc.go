package atproto

import (
	"net/url"
	"strings"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/identity"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

// rawDocument is the JSON of a DID document; see https://atproto.com/specs/did#did-documents.
type rawDocument struct {
	ID                 string   `json:"id"`
	AlsoKnownAs        []string `json:"alsoKnownAs"`
	VerificationMethod []struct {
		ID                 string `json:"id"`
		Type               string `json:"type"`
		Controller         string `json:"controller"`
		PublicKeyMultibase string `json:"publicKeyMultibase"`
	} `json:"verificationMethod"`
	Service []struct {
		ID              string `json:"id"`
		Type            string `json:"type"`
		ServiceEndpoint any    `json:"serviceEndpoint"`
	} `json:"service"`
}

// parse keeps the first valid entry of each id, as the specification says, and ignores what it does not understand.
func (raw *rawDocument) parse(did syntax.DID, insecure bool) *Document {
	d := &Document{
		Identity:    Identity{DID: did, Handle: syntax.HandleInvalid},
		AlsoKnownAs: raw.AlsoKnownAs,
		Services:    map[string]string{}, Keys: map[string]string{},
	}
	raw.parseServices(d, insecure)
	raw.parseKeys(d)
	d.PDS, d.Key = d.Services["atproto_pds"], d.Keys["atproto"]
	if d.Key != "" {
		d.public, _ = atcrypto.ParsePublicDIDKey(d.Key) // made by DIDKey below, so it parses
	}
	return d
}

// fragment returns what follows # if the id belongs to this document.
func fragment(id string, did syntax.DID) string {
	owner, frag, ok := strings.Cut(id, "#")
	if !ok || (owner != "" && owner != string(did)) {
		return ""
	}
	return frag
}

func (raw *rawDocument) parseServices(d *Document, insecure bool) {
	for _, s := range raw.Service {
		frag := fragment(s.ID, d.DID)
		link, ok := s.ServiceEndpoint.(string)
		if frag == "" || !ok || d.Services[frag] != "" {
			continue
		}
		if frag == "atproto_pds" && s.Type != "AtprotoPersonalDataServer" {
			continue
		}
		if base := baseURL(link, insecure); base != "" {
			d.Services[frag] = base
		}
	}
}

// baseURL returns scheme and host of a service endpoint, or nothing if it is not a plain base URL.
func baseURL(link string, insecure bool) string {
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return ""
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !insecure) {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

func (raw *rawDocument) parseKeys(d *Document) {
	ident := identity.Identity{Keys: map[string]identity.VerificationMethod{}}
	for _, vm := range raw.VerificationMethod {
		frag := fragment(vm.ID, d.DID)
		if frag == "" || vm.Controller != string(d.DID) || d.Keys[frag] != "" {
			continue
		}
		ident.Keys[frag] = identity.VerificationMethod{Type: vm.Type, PublicKeyMultibase: vm.PublicKeyMultibase}
		if key, err := ident.GetPublicKey(frag); err == nil {
			d.Keys[frag] = key.DIDKey()
		}
	}
}

// declared lists the syntactically valid handles that the document claims; only the first counts.
func (d *Document) declared() []syntax.Handle {
	var out []syntax.Handle
	for _, aka := range d.AlsoKnownAs {
		rest, ok := strings.CutPrefix(aka, "at://")
		if !ok {
			continue
		}
		if h, err := syntax.ParseHandle(rest); err == nil {
			out = append(out, h.Normalize())
		}
	}
	return out
}
