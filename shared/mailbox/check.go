package mailbox

import (
	"encoding/base64"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// The limits that SendGrid publishes.
const (
	maxPersonalizations = 1000
	maxRecipients       = 1000
	maxReplyTo          = 1000
	maxCategories       = 10
	maxCategory         = 255
	maxArgs             = 10_000
	maxSubstitutions    = 10_000
	maxAddress          = 320
	minPoolName         = 2
	maxPoolName         = 64
	maxGroups           = 25
	maxAhead            = 72 * time.Hour
)

// problem is one thing wrong with a mail, in SendGrid's words where it matters.
// It never repeats an address: errors end up in logs.
type problem struct {
	Message string  `json:"message"`
	Field   *string `json:"field"`
	Help    *string `json:"help"`
}

// checker gathers what is wrong.
type checker struct {
	problems []problem
	now      time.Time
}

func (c *checker) need(ok bool, field, message string) {
	if !ok {
		c.problems = append(c.problems, problem{Message: message, Field: &field})
	}
}

// check says what SendGrid would not accept about a mail.
func check(m request, now time.Time) []problem {
	c := &checker{now: now}
	c.personalizations(m)
	c.from(m)
	c.replyTo(m)
	c.content(m)
	c.attachments(m.Attachments)
	c.headers("headers", m.Headers)
	c.categories(m.Categories)
	c.arguments("custom_args", m.CustomArgs)
	c.sendAt("send_at", m.SendAt)
	c.delivery(m)
	return c.problems
}

func (c *checker) personalizations(m request) {
	n, recipients := len(m.Personalizations), 0
	c.need(n > 0, "personalizations", "The personalizations field is required and must have at least one personalization.")
	c.need(n <= maxPersonalizations, "personalizations", "There is a limit of 1000 personalizations.")
	subjects := n > 0
	for i, p := range m.Personalizations {
		c.personalization(fmt.Sprintf("personalizations.%d.", i), p)
		recipients += len(p.To) + len(p.CC) + len(p.BCC)
		subjects = subjects && p.Subject != nil
	}
	c.need(recipients <= maxRecipients, "personalizations", "There is a limit of 1000 recipients.")
	c.need(m.Subject != "" || m.TemplateID != "" || subjects, "subject",
		"The subject is required. You can get around this requirement if you use a template with a subject defined or if every personalization has a subject defined.")
}

func (c *checker) personalization(at string, p personalization) {
	c.need(len(p.To) > 0, at+"to",
		"The to array is required for all personalization objects, and must have at least one email object with a valid email address.")
	c.addresses(at+"to", p.To)
	c.addresses(at+"cc", p.CC)
	c.addresses(at+"bcc", p.BCC)
	seen := map[string]bool{}
	for _, a := range slices.Concat(p.To, p.CC, p.BCC) {
		email := strings.ToLower(a.Email)
		c.need(!seen[email], at+"to", "Each email address in the personalization block should be unique between to, cc, and bcc.")
		seen[email] = true
	}
	c.need(p.Subject == nil || *p.Subject != "", at+"subject", "The subject must be a string at least one character in length.")
	if p.From != nil {
		c.need(isAddress(p.From.Email), at+"from.email", "The from email does not contain a valid address.")
	}
	c.headers(at+"headers", p.Headers)
	c.arguments(at+"custom_args", p.CustomArgs)
	c.need(size(p.Substitutions) <= maxSubstitutions, at+"substitutions", "Substitutions may not exceed 10000 bytes.")
	c.sendAt(at+"send_at", p.SendAt)
}

func (c *checker) addresses(at string, addresses []Address) {
	for i, a := range addresses {
		c.need(isAddress(a.Email), fmt.Sprintf("%s.%d.email", at, i), "Does not contain a valid address.")
	}
}

func isAddress(email string) bool {
	if len(email) > maxAddress {
		return false
	}
	parsed, err := mail.ParseAddress(email)
	return err == nil && parsed.Address == email
}

func (c *checker) from(m request) {
	if m.From == nil || m.From.Email == "" {
		c.need(false, "from.email",
			"The from object must be provided for every email send. It is an object that requires the email parameter, but may also contain a name parameter.")
		return
	}
	c.need(isAddress(m.From.Email), "from.email", "The from email does not contain a valid address.")
}

func (c *checker) replyTo(m request) {
	c.need(m.ReplyTo == nil || len(m.ReplyToList) == 0, "reply_to", "reply_to is mutually exclusive with reply_to_list.")
	if m.ReplyTo != nil {
		c.need(isAddress(m.ReplyTo.Email), "reply_to.email", "The reply_to email does not contain a valid address.")
	}
	c.need(len(m.ReplyToList) <= maxReplyTo, "reply_to_list", "There is a limit of 1000 reply_to emails per mail/send request.")
	c.addresses("reply_to_list", m.ReplyToList)
	for i, a := range m.ReplyToList {
		c.need(!slices.Contains(m.ReplyToList[:i], a), "reply_to_list", "Each email address in the reply_to_list should be unique.")
	}
}

func (c *checker) content(m request) {
	c.need(len(m.Content) > 0 || m.TemplateID != "", "content",
		"Unless a valid template_id is provided, the content parameter is required. There must be at least one defined content block. We typically suggest both text/plain and text/html blocks are included, but only one block is required.")
	seen := map[string]bool{}
	for i, part := range m.Content {
		at := fmt.Sprintf("content.%d.", i)
		c.need(part.Value != "", at+"value", "The content value must be a string at least one character in length.")
		c.need(strings.Contains(part.Type, "/") && !strings.ContainsAny(part.Type, ";,\r\n"), at+"type",
			"The content type must be a MIME type and can not contain ';', ',', or CRLF characters.")
		c.need(part.Type != "text/plain" || i == 0, at+"type", "If present, text/plain must be the first content.")
		c.need(part.Type != "text/html" || i == 0 || seen["text/plain"], at+"type", "If present, text/html must follow text/plain or be first.")
		c.need(!seen[part.Type], at+"type", "Each content type may only be provided once.")
		seen[part.Type] = true
	}
}

func (c *checker) attachments(files []attachment) {
	for i, f := range files {
		at := fmt.Sprintf("attachments.%d.", i)
		_, err := base64.StdEncoding.DecodeString(f.Content)
		c.need(f.Content != "" && err == nil, at+"content", "The attachment content must be base64 encoded.")
		c.need(f.Filename != "" && !strings.ContainsAny(f.Filename, "\r\n"), at+"filename", "The attachment filename is required and can not contain CRLF characters.")
		c.need(f.Disposition == "" || f.Disposition == "inline" || f.Disposition == "attachment", at+"disposition",
			"The disposition of an attachment can be inline or attachment.")
		c.need(f.Type == nil || *f.Type != "", at+"type", "The attachment type must be a string at least one character in length.")
	}
}

func (c *checker) headers(at string, headers map[string]string) {
	reserved := []string{
		"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding",
		"to", "from", "subject", "reply-to", "cc", "bcc",
	}
	for name, value := range headers {
		c.need(!slices.Contains(reserved, strings.ToLower(name)), at, "The headers parameter can not contain a reserved header.")
		c.need(!strings.ContainsAny(name+value, "\r\n"), at, "Headers can not contain CRLF characters.")
	}
}

func (c *checker) categories(categories []string) {
	c.need(len(categories) <= maxCategories, "categories", "There is a limit of 10 categories.")
	for i, category := range categories {
		c.need(len(category) <= maxCategory, "categories", "Each category name may not exceed 255 characters.")
		c.need(!slices.Contains(categories[:i], category), "categories", "Category names must be unique.")
	}
}

func (c *checker) arguments(at string, arguments map[string]string) {
	c.need(size(arguments) <= maxArgs, at, "Custom arguments may not exceed 10000 bytes.")
}

func size(pairs map[string]string) int {
	n := 0
	for key, value := range pairs {
		n += len(key) + len(value)
	}
	return n
}

func (c *checker) delivery(m request) {
	if m.IPPoolName != nil {
		n := len(*m.IPPoolName)
		c.need(n >= minPoolName && n <= maxPoolName, "ip_pool_name", "The ip_pool_name must be between 2 and 64 characters.")
	}
	if m.ASM != nil {
		c.need(m.ASM.GroupID != nil, "asm.group_id", "The group_id is required.")
		c.need(len(m.ASM.GroupsToDisplay) <= maxGroups, "asm.groups_to_display", "There is a limit of 25 groups to display.")
	}
}

func (c *checker) sendAt(at string, unix int64) {
	c.need(unix <= c.now.Add(maxAhead).Unix(), at, "Scheduling more than 72 hours in advance is forbidden.")
}
