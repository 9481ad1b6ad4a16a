/* What a file's contents come down to, so that what runs nothing makes no noise: every `git push -u` writes into
 * .git/config, every dependency into package.json. What is left out is left out by a strict reading, and everything
 * else counts: it is read by nobody but the hash. */
#include "core/sandbox/planted_private.h"

#include "core/base/text.h"
#include "core/data/json.h"

#include <ctype.h>
#include <string.h>

/* ---- git's configuration ---- */

/* Entries that name no command, whatever their value is. In a section with a name of its own ("origin"), too. */
static const struct {
    const char *section, *key;
} harmless[] = {
    {"branch", "remote"}, {"branch", "merge"},   {"branch", "rebase"},          {"branch", "description"},
    {"user", "name"},     {"user", "email"},     {"remote", "fetch"},           {"pull", "rebase"},
    {"core", "filemode"}, {"core", "bare"},      {"core", "logallrefupdates"},  {"core", "ignorecase"},
};

/* `[word]` or `[word "name"]`, nothing else on the line; *word is the word. */
static bool plain_header(struct span line, struct span *word)
{
    line = span_trim(line);
    if (line.len < 3 || line.p[0] != '[' || line.p[line.len - 1] != ']')
        return false;
    struct span inside = {line.p + 1, line.len - 2};
    size_t at = 0;
    while (at < inside.len && isalnum((unsigned char)inside.p[at]))
        at++;
    *word = (struct span){inside.p, at};
    if (at == inside.len)
        return at > 0;
    if (at == 0 || inside.len - at < 3 || inside.p[at] != ' ' || inside.p[at + 1] != '"' ||
        inside.p[inside.len - 1] != '"')
        return false;
    for (size_t i = at + 2; i < inside.len - 1; i++)
        if (strchr("\"\\[]", inside.p[i]) != NULL)
            return false; /* NUL, too */
    return true;
}

/* `key = value`, whole on its line: no quote, comment or continuation that could reach further. */
static bool plain_entry(struct span line, struct span *key, struct span *value)
{
    struct span rest = line;

    for (size_t i = 0; i < line.len; i++)
        if (strchr("\"\\[];#", line.p[i]) != NULL)
            return false;
    if (!span_cut(&rest, '=', key) || rest.p == NULL)
        return false;
    *key = span_trim(*key);
    *value = span_trim(rest);
    return key->len > 0 && value->len > 0;
}

static bool runs_nothing(struct span word, struct span line)
{
    struct span key, value;

    if (!plain_entry(line, &key, &value))
        return false;
    if (memmem(value.p, value.len, "::", 2) != NULL) /* a remote helper's address: a command */
        return false;
    for (size_t i = 0; i < COUNT(harmless); i++)
        if (span_eqis(word, harmless[i].section) && span_eqis(key, harmless[i].key))
            return true;
    /* An address of which git knows the way: others (ext::) are commands. */
    return span_eqis(word, "remote") && (span_eqis(key, "url") || span_eqis(key, "pushurl")) &&
           (span_starts(value, "https://") || span_starts(value, "ssh://git@") || span_starts(value, "git@"));
}

/* A walk over the lines: the header that each is under, and whether the line before goes on in it. */
struct lines {
    struct span rest, header, word;
    bool goes_on, plain; /* plain: the header is one that plain_header understands */
};

static bool next_line(struct lines *lines, struct span *line, bool *whole)
{
    if (!span_cut(&lines->rest, '\n', line))
        return false;
    *whole = !lines->goes_on;
    lines->goes_on = line->len > 0 && line->p[line->len - 1] == '\\';
    struct span trimmed = span_trim(*line);
    if (trimmed.len > 0 && trimmed.p[0] == '[' && *whole) {
        lines->header = trimmed;
        lines->plain = plain_header(trimmed, &lines->word);
        *whole = !lines->plain;
        if (lines->plain)
            *line = (struct span){line->p, 0}; /* it runs nothing by itself: it is hashed with what stands under it */
    }
    return true;
}

static void git_config(const char *text, size_t len, struct sha256 *sum)
{
    struct lines lines = {.rest = {text, len}};
    struct span line;
    bool whole;

    while (next_line(&lines, &line, &whole)) {
        if (line.len == 0 || (whole && !lines.goes_on && lines.plain && runs_nothing(lines.word, line)))
            continue;
        sha256_add(sum, lines.header.p, lines.header.len);
        sha256_add(sum, "\n", 1);
        sha256_add(sum, line.p, line.len);
        sha256_add(sum, "\n", 1);
    }
}

/* The words of a command that may be files of the workspace. */
static void tell_words(struct span value, planted_named_fn *fn, void *arg)
{
    struct span word;

    while (span_cut(&value, ' ', &word)) {
        while (word.len > 0 && strchr("!\"'", word.p[0]) != NULL)
            word = (struct span){word.p + 1, word.len - 1};
        while (word.len > 0 && strchr("\"';", word.p[word.len - 1]) != NULL)
            word.len--;
        if (word.len == 0 || word.len >= PATH_MAX || memchr(word.p, '/', word.len) == NULL)
            continue;
        AUTOFREE char *name = mem_strndup(word.p, word.len);
        fn(PLANTED_NAMED_PROGRAM, name, arg);
    }
}

void planted_config_paths(const char *text, size_t len, planted_named_fn *fn, void *arg)
{
    struct lines lines = {.rest = {text, len}};
    struct span line, key, value;
    bool whole;

    while (next_line(&lines, &line, &whole)) {
        if (!whole || !lines.plain || runs_nothing(lines.word, line) || !span_cut(&line, '=', &key))
            continue;
        key = span_trim(key);
        value = span_trim(line);
        bool hooks = span_eqis(lines.word, "core") && span_eqis(key, "hookspath");
        bool include = (span_eqis(lines.word, "include") || span_eqis(lines.word, "includeif")) &&
                       span_eqis(key, "path");
        if (!hooks && !include) {
            tell_words(value, fn, arg);
            continue;
        }
        if (value.len > 2 && value.p[0] == '"' && value.p[value.len - 1] == '"')
            value = (struct span){value.p + 1, value.len - 2};
        AUTOFREE char *name = mem_strndup(value.p, value.len);
        if (name[0] != '\0')
            fn(hooks ? PLANTED_NAMED_HOOKS : PLANTED_NAMED_INCLUDE, name, arg);
    }
}

/* ---- package.json ---- */

/* A dependency from elsewhere than the registry: a directory, an archive, a repository, whose own scripts an
 * installation runs. */
static void add_sources(json_t *map, struct sha256 *sum)
{
    const char *name;
    json_t *value;

    json_object_foreach(map, name, value)
    {
        const char *text = json_string_value(value);
        if (text == NULL || strpbrk(text, ":/") == NULL)
            continue;
        sha256_add(sum, name, strlen(name) + 1);
        sha256_add(sum, text, strlen(text) + 1);
    }
}

static bool package(const char *text, size_t len, struct sha256 *sum)
{
    static const char *const members[] = {"scripts",          "husky",       "gitHooks", "simple-git-hooks",
                                          "lint-staged",      "pre-commit",  "bin",      "packageManager",
                                          "trustedDependencies", "pnpm",     "volta",    "eslintConfig",
                                          "prettier"};
    static const char *const dependencies[] = {"dependencies", "devDependencies", "optionalDependencies",
                                               "peerDependencies", "overrides", "resolutions"};
    CLEANUP(doc_clear) struct doc doc = {0};
    struct err err = {0};

    if (!json_parse(text, len, JSON_FILE_MAX, "package.json", ERR_DATA, &doc, &err))
        return false;
    struct json_at root = json_root(&doc), member;
    for (size_t i = 0; i < COUNT(members); i++) {
        if (!json_want_object(&root, &err) || !json_member(&root, members[i], &member))
            continue;
        JSON_AUTO json_t *alone = json_object();
        json_object_set(alone, members[i], member.node);
        AUTOFREE char *canonical = json_canonical(alone);
        sha256_add(sum, canonical, strlen(canonical));
    }
    for (size_t i = 0; i < COUNT(dependencies); i++)
        add_sources(json_object_get(root.node, dependencies[i]), sum);
    return true;
}

void planted_digest(enum planted_how how, const char *text, size_t len, struct sha256 *sum)
{
    if (how == PLANTED_GIT_CONFIG)
        git_config(text, len, sum);
    else if (how != PLANTED_PACKAGE || !package(text, len, sum))
        sha256_add(sum, text, len);
}

/* ---- links ---- */

bool planted_leads_out(const char *dir, const char *target)
{
    static const char *const public[] = {"/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/nix/store/"};
    struct span rest = span_of(target), name;
    size_t depth = 0;

    if (target[0] == '/') {
        for (size_t i = 0; i < COUNT(public); i++)
            if (span_starts(rest, public[i]) && strstr(target, "..") == NULL)
                return false;
        return true;
    }
    for (struct span up = span_of(dir); span_cut(&up, '/', &name);)
        depth++;
    while (span_cut(&rest, '/', &name)) {
        if (span_eqs(name, "..")) {
            if (depth == 0)
                return true;
            depth--;
        } else if (name.len > 0 && !span_eqs(name, ".")) {
            depth++;
        }
    }
    return false;
}
