/* Bindings: bindings.yaml read, checked, and asked which credential a request gets. It knows no secret:
 * the vault is the monitor's, and writing the field is the plane's. */
#include "core/data/binding.h"

#include <stdlib.h>

#include "core/base/id.h"

struct bindings {
    struct binding *items;
    size_t count;
    struct match_row *rows;
    size_t row_count;
    json_t *json;
};

static const char *const scheme_words[] = {"bearer", "basic", "header"}; /* order of the enum */

const char *binding_scheme_word(enum binding_scheme scheme)
{
    return scheme_words[scheme];
}

static void binding_clear(struct binding *binding)
{
    free(binding->name);
    free(binding->entry);
    free(binding->header);
    free(binding->before);
    free(binding->after);
    free(binding->username);
    free(binding->like);
    match_texts_free(binding->env);
    for (size_t i = 0; i < binding->host_count; i++)
        match_clear(&binding->hosts[i]);
    free(binding->hosts);
}

void bindings_free(struct bindings *bindings)
{
    if (!bindings)
        return;
    for (size_t i = 0; i < bindings->count; i++)
        binding_clear(&bindings->items[i]);
    free(bindings->items);
    free(bindings->rows);
    json_decref(bindings->json);
    free(bindings);
}

/* RFC 9110 section 5.6.2 for the name. These fields frame the message, route it, or are another
 * mechanism's own; a connector's argument or a header template must not write them. */
static const char *const kept_fields[] = {
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
    "upgrade", "expect", "proxy-authorization", "proxy-connection", "proxy-authenticate",
    "content-encoding", "http2-settings", "x-http-method", "x-http-method-override",
    "x-method-override"};
static const char *const credential_fields[] = {"authorization", "cookie", "set-cookie"};

static bool field_in(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_eqis(span_of(name), list[i]))
            return true;
    }
    return false;
}

bool binding_header_free(const char *name)
{
    return text_is_token(span_of(name)) && !field_in(name, kept_fields, COUNT(kept_fields)) &&
           !field_in(name, credential_fields, COUNT(credential_fields));
}

static bool template_from(struct binding *binding, const struct json_at *at, struct err *err)
{
    static const char *const keys[] = {"name", "template", NULL};
    static const char slot[] = "{secret}";
    const char *name = NULL, *text = slot;
    struct json_at header, part;
    bool present;
    if (!json_get_object(at, "header", JSON_NEED, &header, &present, err) ||
        !json_only(&header, keys, err) ||
        !json_get_text(&header, "name", JSON_NEED, 128, &name, err) ||
        !json_get_text(&header, "template", JSON_MAY, 512, &text, err))
        return false;
    if (!json_member(&header, "name", &part))
        return false;
    if (!text_is_token(span_of(name)))
        return json_fail(&part, err, "is no header name");
    if (field_in(name, kept_fields, COUNT(kept_fields)))
        return json_fail(&part, err, "belongs to HTTP itself and carries no credential");
    const char *found = strstr(text, slot);
    if (!found || strstr(found + 1, slot))
        return json_member(&header, "template", &part)
                   ? json_fail(&part, err, "must hold {secret} exactly once")
                   : json_fail(&header, err, "'template' must hold {secret} exactly once");
    binding->header = mem_strdup(name);
    binding->before = mem_strndup(text, (size_t)(found - text));
    binding->after = mem_strdup(found + sizeof slot - 1);
    return true;
}

static bool scheme_from(struct binding *binding, const struct json_at *at, struct err *err)
{
    static const char *const later[] = {"query",      "oauth2",    "sigv4",
                                        "github-app", "google-sa", "mtls"};
    const char *word = NULL, *username = NULL;
    struct json_at member;
    int scheme = 0;
    if (!json_get_text(at, "scheme", JSON_NEED, 32, &word, err))
        return false;
    if (!json_member(at, "scheme", &member))
        return false;
    if (field_in(word, later, COUNT(later)))
        return json_fail(&member, err, "scheme %s is not in this version; there are bearer, basic "
                                       "and header", word);
    if (!json_get_word(at, "scheme", JSON_NEED, scheme_words, COUNT(scheme_words), &scheme, err) ||
        !json_get_text(at, "username", JSON_MAY, 256, &username, err))
        return false;
    binding->scheme = (enum binding_scheme)scheme;
    if (binding->scheme != BINDING_BASIC && json_member(at, "username", &member))
        return json_fail(&member, err, "belongs to scheme basic alone");
    if (username && strchr(username, ':') && json_member(at, "username", &member))
        return json_fail(&member, err, "must not hold a colon (RFC 7617)");
    if (username && *username)
        binding->username = mem_strdup(username);
    if (binding->scheme == BINDING_HEADER)
        return template_from(binding, at, err);
    if (json_member(at, "header", &member))
        return json_fail(&member, err, "belongs to scheme header alone");
    binding->header = mem_strdup("Authorization");
    binding->before = mem_strdup(binding->scheme == BINDING_BEARER ? "Bearer " : "");
    binding->after = mem_strdup("");
    return true;
}

static bool hosts_from(struct binding *binding, const struct json_at *at, struct err *err)
{
    struct json_at list;
    size_t count;
    if (!json_get_list(at, "hosts", JSON_NEED, BINDING_HOSTS_MAX, &list, &count, err))
        return false;
    if (count == 0)
        return json_fail(&list, err, "must name at least one host");
    binding->hosts = mem_array(count, sizeof *binding->hosts);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        binding->host_count++;
        if (!match_host_from(&binding->hosts[i], &entry, err) ||
            !match_limits_from(&binding->hosts[i], at, err))
            return false;
    }
    return true;
}

/* A variable that the loader or a shell obeys would be a way to run code, not to carry a token. */
static bool env_ok(const char *name)
{
    static const char *const kept[] = {"PATH", "HOME", "SHELL", "USER", "IFS", "ENV", "BASH_ENV",
                                       "PYTHONPATH", "NODE_OPTIONS", "JAVA_TOOL_OPTIONS"};
    if (strncmp(name, "LD_", 3) == 0 || strncmp(name, "AILERON_", 8) == 0)
        return false;
    for (size_t i = 0; i < COUNT(kept); i++) {
        if (strcmp(name, kept[i]) == 0)
            return false;
    }
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
               strlen(name) && !(*name >= '0' && *name <= '9');
}

static bool sentinel_from(struct binding *binding, const struct json_at *at, struct err *err)
{
    static const char *const keys[] = {"env", "like", NULL};
    struct json_at sentinel, list;
    const char *like = "";
    bool present;
    if (!json_get_object(at, "sentinel", JSON_MAY, &sentinel, &present, err))
        return false;
    if (present && (!json_only(&sentinel, keys, err) ||
                    !match_texts_from(&sentinel, "env", JSON_NEED, BINDING_ENV_MAX, 128,
                                      &binding->env, err) ||
                    !json_get_text(&sentinel, "like", JSON_MAY, 64, &like, err)))
        return false;
    binding->like = mem_strdup(like);
    if (strspn(like, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") !=
            strlen(like) && json_member(&sentinel, "like", &list))
        return json_fail(&list, err, "may hold letters, digits, '_', '-' and '.'");
    if (!present || !json_member(&sentinel, "env", &list))
        return true;
    for (size_t i = 0; binding->env && binding->env[i]; i++) {
        struct json_at entry = json_element(&list, i);
        if (!env_ok(binding->env[i]))
            return json_fail(&entry, err, "is no name for a variable that carries a token");
    }
    return true;
}

static bool name_ok(const char *name)
{
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/@+-") ==
               strlen(name) && *name != '/' && *name != '-' && name[strlen(name) - 1] != '/' &&
           !strstr(name, "//") && !strstr(name, "..");
}

static bool binding_from(struct bindings *bindings, struct binding *binding,
                         const struct json_at *at, struct err *err)
{
    static const char *const keys[] = {"name",   "hosts",    "port",   "ports",    "methods", "paths",
                                       "scheme", "header",   "username", "sentinel", "entry", NULL};
    const char *name = NULL, *entry = NULL;
    struct json_at member;
    if (!json_only(at, keys, err) ||
        !json_get_text(at, "name", JSON_NEED, BINDING_NAME_MAX, &name, err) ||
        !json_get_text(at, "entry", JSON_MAY, BINDING_NAME_MAX, &entry, err))
        return false;
    if (!json_member(at, "name", &member))
        return false;
    if (strcmp(name, "none") == 0 || !name_ok(name))
        return json_fail(&member, err, "must be a name like user/github");
    if (binding_named(bindings, name))
        return json_fail(&member, err, "another binding has this name");
    if (entry && *entry && !name_ok(entry) && json_member(at, "entry", &member))
        return json_fail(&member, err, "must be a vault entry like user/github");
    binding->name = mem_strdup(name);
    binding->entry = mem_strdup(entry && *entry ? entry : name);
    return hosts_from(binding, at, err) && scheme_from(binding, at, err) &&
           sentinel_from(binding, at, err);
}

static void rows_build(struct bindings *bindings)
{
    size_t rows = 0;
    for (size_t i = 0; i < bindings->count; i++)
        rows += bindings->items[i].host_count * (MATCH_PATHS_MAX + 1);
    bindings->rows = mem_array(rows + 1, sizeof *bindings->rows);
    for (size_t i = 0; i < bindings->count; i++) {
        for (size_t h = 0; h < bindings->items[i].host_count; h++) {
            const struct match *match = &bindings->items[i].hosts[h];
            struct match_row row = {.match = match, .owner = i};
            if (!match->paths)
                bindings->rows[bindings->row_count++] = row;
            for (size_t p = 0; match->paths && match->paths[p]; p++) {
                row.path = match->paths[p];
                bindings->rows[bindings->row_count++] = row;
            }
        }
    }
    match_sort(bindings->rows, bindings->row_count);
}

struct bindings *bindings_from(const struct json_at *at, struct err *err)
{
    static const char *const keys[] = {"version", "bindings", NULL};
    struct bindings *bindings = mem_alloc(sizeof *bindings);
    struct json_at list;
    size_t count;
    if (!at) {
        bindings->json = json_pack("{s:i}", "version", 1);
        return bindings;
    }
    bindings->json = json_incref(at->node);
    if (!json_only(at, keys, err) || !json_want_version(at, 1, err) ||
        !json_get_list(at, "bindings", JSON_MAY, BINDINGS_MAX, &list, &count, err))
        goto fail;
    bindings->items = mem_array(count + 1, sizeof *bindings->items);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        struct binding binding = {0};
        if (!binding_from(bindings, &binding, &entry, err)) {
            binding_clear(&binding);
            goto fail;
        }
        bindings->items[bindings->count++] = binding;
    }
    rows_build(bindings);
    return bindings;
fail:
    bindings_free(bindings);
    return NULL;
}

/* ---- asking ---- */

json_t *bindings_json(const struct bindings *bindings)
{
    return bindings->json;
}

size_t bindings_count(const struct bindings *bindings)
{
    return bindings->count;
}

const struct binding *bindings_at(const struct bindings *bindings, size_t index)
{
    return &bindings->items[index];
}

const struct binding *binding_named(const struct bindings *bindings, const char *name)
{
    for (size_t i = 0; i < bindings->count; i++) {
        if (strcmp(bindings->items[i].name, name) == 0)
            return &bindings->items[i];
    }
    return NULL;
}

static bool row_covers(const struct match_row *row, const struct match_query *query)
{
    if (!match_host(row->match, query->host) || !match_port(row->match, query->port))
        return false;
    if (row->match->methods && (!query->method.p || !match_method(row->match, query->method)))
        return false;
    return !row->path ||
           (query->path.p && !query->ambiguous && glob_match(row->path, query->path));
}

const struct binding *binding_for(const struct bindings *bindings, const struct match_query *asked)
{
    AUTOFREE char *memory = NULL;
    struct match_query query = *asked;
    match_fold(&query, &memory);
    for (size_t i = 0; i < bindings->row_count; i++) {
        if (row_covers(&bindings->rows[i], &query))
            return &bindings->items[bindings->rows[i].owner];
    }
    return NULL;
}

bool binding_covers(const struct binding *binding, const struct match_query *asked)
{
    AUTOFREE char *memory = NULL;
    struct match_query query = *asked;
    match_fold(&query, &memory);
    for (size_t h = 0; h < binding->host_count; h++) {
        struct match_row row = {.match = &binding->hosts[h]};
        if (!row.match->paths && row_covers(&row, &query))
            return true;
        for (size_t p = 0; row.match->paths && row.match->paths[p]; p++) {
            row.path = row.match->paths[p];
            if (row_covers(&row, &query))
                return true;
        }
    }
    return false;
}

bool binding_any(const struct bindings *bindings, struct span host, uint16_t port)
{
    for (size_t i = 0; i < bindings->row_count; i++) {
        const struct match *match = bindings->rows[i].match;
        if (match_host(match, host) && match_port(match, port))
            return true;
    }
    return false;
}

char *binding_mint_sentinel(const struct binding *binding)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    enum { RANDOM_LETTERS = 36 };
    char text[RANDOM_LETTERS + 1] = "";
    for (size_t i = 0; i < RANDOM_LETTERS;) {
        uint8_t byte;
        random_bytes(&byte, sizeof byte);
        if (byte < 4 * (sizeof letters - 1)) /* 248: every letter as likely as the next */
            text[i++] = letters[byte % (sizeof letters - 1)];
    }
    return mem_printf("%s%s", binding->like, text);
}
