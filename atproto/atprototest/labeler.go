package atprototest

import (
	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/labeling"
	lexutil "github.com/bluesky-social/indigo/lex/util"
)

// BecomeLabeler makes the account a labeler, with a key of its own for labels. One account of a PDS may be one.
func (p *PDS) BecomeLabeler(a *Account) error {
	key, err := atcrypto.GeneratePrivateKeyK256()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a.labelKey = key
	if err := a.updatePLC(); err != nil {
		return err
	}
	p.identityEvent(a)
	return nil
}

// Label publishes a label. change, if given, may falsify it after it was signed.
func (p *PDS) Label(a *Account, uri, val string, neg bool, change func(*comatproto.LabelDefs_Label)) error {
	label := labeling.Label{CreatedAt: now8601(p.now()), SourceDID: a.DID, URI: uri, Val: val, Version: labeling.ATPROTO_LABEL_VERSION}
	if neg {
		label.Negated = &neg
	}
	if err := label.Sign(a.labelKey); err != nil {
		return err
	}
	version := labeling.ATPROTO_LABEL_VERSION
	wire := &comatproto.LabelDefs_Label{
		Cts: label.CreatedAt, Src: a.DID, Uri: uri, Val: val, Ver: &version, Sig: lexutil.LexBytes(label.Sig), Neg: label.Negated,
	}
	if change != nil {
		change(wire)
	}
	p.labels.publish("#labels", func(seq int64) event {
		return &comatproto.LabelSubscribeLabels_Labels{Seq: seq, Labels: []*comatproto.LabelDefs_Label{wire}}
	})
	return nil
}
