/* Which files of a workspace a host's program runs, or takes commands from, without asking whoever opens, enters or
 * commits there. A further program is a row: the end of the directory's path, the file's name. Left out: what runs
 * because somebody asks for it (sources, Makefile, tests, scripts, node_modules), what only instructs an agent
 * (CLAUDE.md, AGENTS.md), and what runs elsewhere (.github). package.json is in for its scripts, which an installation
 * runs. */
#include "core/sandbox/planted_private.h"

#include "core/data/policy.h"

const struct planted_row planted_rows[] = {
    /* git: any program that shows a branch in a prompt or an editor calls it */
    {NULL, "config", "git", PLANTED_GIT, PLANTED_GIT_CONFIG},
    {NULL, "config.worktree", "git", PLANTED_GIT, PLANTED_GIT_CONFIG},
    {NULL, "commondir", "git", PLANTED_GIT, PLANTED_WHOLE},
    {"info", "attributes", "git", PLANTED_GIT, PLANTED_WHOLE},
    {NULL, "git-rebase-todo", "git", PLANTED_GIT, PLANTED_WHOLE},
    {"hooks", "*", "git", PLANTED_GIT, PLANTED_WHOLE},
    {NULL, ".git", "git", 0, PLANTED_WHOLE}, /* a file: where the repository is */
    {".githooks", "*", "git", PLANTED_DEEP, PLANTED_WHOLE},
    {".husky", "*", "git, by husky", PLANTED_DEEP, PLANTED_WHOLE},
    {NULL, ".pre-commit-config.yaml", "git, by pre-commit", 0, PLANTED_WHOLE},
    {NULL, "lefthook.yml", "git, by lefthook", 0, PLANTED_WHOLE},
    {NULL, "lefthook.yaml", "git, by lefthook", 0, PLANTED_WHOLE},
    {NULL, ".lefthook.yml", "git, by lefthook", 0, PLANTED_WHOLE},
    {NULL, "lefthook-local.yml", "git, by lefthook", 0, PLANTED_WHOLE},
    {NULL, ".gitconfig", "git, where its configuration includes it", 0, PLANTED_GIT_CONFIG},
    {".hg", "hgrc", "Mercurial", 0, PLANTED_WHOLE},
    /* shells that are entered here */
    {NULL, ".envrc", "direnv", 0, PLANTED_WHOLE},
    {NULL, ".env", "tools that read environments", 0, PLANTED_WHOLE},
    {NULL, ".autoenv", "autoenv", 0, PLANTED_WHOLE},
    {NULL, ".autoenv.zsh", "autoenv", 0, PLANTED_WHOLE},
    {NULL, "mise.toml", "mise", 0, PLANTED_WHOLE},
    {NULL, ".mise.toml", "mise", 0, PLANTED_WHOLE},
    {NULL, "mise.local.toml", "mise", 0, PLANTED_WHOLE},
    {".mise", "*", "mise", PLANTED_DEEP, PLANTED_WHOLE},
    {NULL, ".tool-versions", "asdf or mise", 0, PLANTED_WHOLE},
    /* editors that open the folder */
    {".vscode", "*.json", "VS Code", 0, PLANTED_WHOLE},
    {NULL, "*.code-workspace", "VS Code", 0, PLANTED_WHOLE},
    {NULL, ".devcontainer.json", "dev containers", 0, PLANTED_WHOLE},
    {".devcontainer", "*", "dev containers", PLANTED_DEEP, PLANTED_WHOLE},
    {".idea/runConfigurations", "*", "JetBrains", 0, PLANTED_WHOLE},
    {".idea", "startup.xml", "JetBrains", 0, PLANTED_WHOLE},
    {".idea", "watcherTasks.xml", "JetBrains", 0, PLANTED_WHOLE},
    {".idea", "externalDependencies.xml", "JetBrains", 0, PLANTED_WHOLE},
    {".run", "*", "JetBrains", 0, PLANTED_WHOLE},
    {".zed", "*", "Zed", 0, PLANTED_WHOLE},
    {".helix", "*", "Helix", 0, PLANTED_WHOLE},
    {NULL, ".exrc", "vim", 0, PLANTED_WHOLE},
    {NULL, ".vimrc", "vim", 0, PLANTED_WHOLE},
    {NULL, ".nvimrc", "neovim", 0, PLANTED_WHOLE},
    {NULL, ".nvim.lua", "neovim", 0, PLANTED_WHOLE},
    {NULL, ".lvimrc", "vim", 0, PLANTED_WHOLE},
    {NULL, ".dir-locals.el", "Emacs", 0, PLANTED_WHOLE},
    {NULL, ".dir-locals-2.el", "Emacs", 0, PLANTED_WHOLE},
    {NULL, "*.sublime-project", "Sublime Text", 0, PLANTED_WHOLE},
    /* agents that are started on the host */
    {".claude", "*", "Claude Code", PLANTED_DEEP, PLANTED_WHOLE},
    {NULL, ".mcp.json", "agents (MCP)", 0, PLANTED_WHOLE},
    {".cursor", "*.json", "Cursor", 0, PLANTED_WHOLE},
    {".codex", "*", "Codex", 0, PLANTED_WHOLE},
    {".gemini", "*", "Gemini CLI", 0, PLANTED_WHOLE},
    {NULL, "opencode.json", "opencode", 0, PLANTED_WHOLE},
    {NULL, "opencode.jsonc", "opencode", 0, PLANTED_WHOLE},
    {".opencode", "*", "opencode", PLANTED_DEEP, PLANTED_WHOLE},
    {NULL, ".aider.conf.yml", "aider", 0, PLANTED_WHOLE},
    {NULL, POLICY_PROJECT_FILE, "aileron: the project's policy", 0, PLANTED_WHOLE},
    /* package managers and interpreters, which obey a file beside them */
    {NULL, "package.json", "npm and its like, when they install", 0, PLANTED_PACKAGE},
    {NULL, ".npmrc", "npm", 0, PLANTED_WHOLE},
    {NULL, ".yarnrc", "yarn", 0, PLANTED_WHOLE},
    {NULL, ".yarnrc.yml", "yarn", 0, PLANTED_WHOLE},
    {".yarn", "*.cjs", "yarn", PLANTED_DEEP, PLANTED_WHOLE},
    {NULL, ".pnpmfile.cjs", "pnpm", 0, PLANTED_WHOLE},
    {NULL, "bunfig.toml", "bun", 0, PLANTED_WHOLE},
    {".cargo", "config", "cargo", 0, PLANTED_WHOLE},
    {".cargo", "config.toml", "cargo", 0, PLANTED_WHOLE},
    {NULL, "rust-toolchain", "cargo", 0, PLANTED_WHOLE},
    {NULL, "rust-toolchain.toml", "cargo", 0, PLANTED_WHOLE},
    {".mvn", "*", "Maven", PLANTED_DEEP, PLANTED_WHOLE},
    {".bundle", "config", "bundler", 0, PLANTED_WHOLE},
    {".venv/bin", "python*", "editors, for Python", 0, PLANTED_WHOLE},
    {".venv/bin", "activate*", "editors' terminals, for Python", 0, PLANTED_WHOLE},
    {"venv/bin", "python*", "editors, for Python", 0, PLANTED_WHOLE},
    {"venv/bin", "activate*", "editors' terminals, for Python", 0, PLANTED_WHOLE},
    {NULL, ".irbrc", "irb", 0, PLANTED_WHOLE},
    {NULL, ".pryrc", "pry", 0, PLANTED_WHOLE},
    {NULL, ".Rprofile", "R", 0, PLANTED_WHOLE},
    {NULL, ".gdbinit", "gdb", 0, PLANTED_WHOLE},
    {NULL, ".lldbinit", "lldb", 0, PLANTED_WHOLE},
};
const size_t planted_row_count = COUNT(planted_rows);
_Static_assert(COUNT(planted_rows) <= 128, "a directory's inherited rows are 128 bits");
