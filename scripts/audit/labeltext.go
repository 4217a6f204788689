package main

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ledongthuc/pdf"
)

// A label that is the one on record may still be another order's, if whoever
// printed it mixed them up. So it is read, as by who packs the parcel: the order,
// the tracking number, and each article with its quantity. Names and addresses
// are left alone: they may be in any script, of which some is drawn dot by dot,
// and what is wrong with a label is printed.

// wrongText says what of the order the document doesn't tell, or "".
func (l label) wrongText(document []byte) string {
	pages, err := textOf(document)
	if err != nil {
		return "our database says a label, S3 has something that can't be read"
	}
	var said, packed []string
	for _, page := range pages {
		said = append(said, page...)
		packed = append(packed, packingList(page)...)
	}
	says := func(text string) bool {
		return slices.ContainsFunc(said, func(one string) bool { return strings.ReplaceAll(one, " ", "") == text })
	}
	switch {
	case !says(l.number):
		return fmt.Sprintf("our database says order %s, the label doesn't", l.number)
	case !says(l.tracking):
		return fmt.Sprintf("our database says tracking number %s, the label doesn't", l.tracking)
	case !slices.EqualFunc(l.lines, packed, sameLine):
		return fmt.Sprintf("our database says %s, the label says %s", strings.Join(l.lines, ", "), strings.Join(packed, ", "))
	}
	return ""
}

// sameLine allows for a SKU that was too long for the label and is cut.
func sameLine(line, packed string) bool {
	if begin, cut := strings.CutSuffix(packed, "…"); cut {
		return strings.HasPrefix(line, begin)
	}
	return line == packed
}

var quantity = regexp.MustCompile(`^[0-9]+ ×$`)

// packingList finds the articles of a page, as "2 × SKU": a line begins with the
// quantity and ends with the SKU, and below the caption there is nothing else.
func packingList(page []string) []string {
	start := slices.Index(page, "CONTENTS")
	if start < 0 {
		return nil
	}
	var lines []string
	var count, last string
	end := func() {
		if count != "" {
			lines = append(lines, count+" "+last)
		}
	}
	for _, text := range page[start+1:] {
		if quantity.MatchString(text) {
			end()
			count = text
		}
		last = text
	}
	end()
	return lines
}

// textOf reads a PDF: the texts of each page, in the order in which they were set.
func textOf(document []byte) (pages [][]string, err error) {
	defer func() {
		if trouble := recover(); trouble != nil { // which is how the library tells of a broken document
			err = fmt.Errorf("read PDF: %v", trouble)
		}
	}()
	reader, err := pdf.NewReader(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		return nil, fmt.Errorf("read PDF: %w", err)
	}
	for number := range reader.NumPage() {
		text, err := reader.Page(number + 1).GetPlainText(nil)
		if err != nil {
			return nil, fmt.Errorf("read PDF: %w", err)
		}
		texts := strings.Split(text, "\n") // each as it was set, and empty ones between
		pages = append(pages, slices.DeleteFunc(texts, func(one string) bool { return one == "" }))
	}
	return pages, nil
}
