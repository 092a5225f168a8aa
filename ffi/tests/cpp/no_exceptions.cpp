// A program without exceptions and RTTI: everything works by looking at results, and value() of a failed one ends the
// program by way of the failure handler.
#include "jeton.hpp"
#include "support.hpp"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "to be compiled with -fno-exceptions -fno-rtti"
#endif

extern char **environ;

namespace {

int failures = 0;

void check(bool good, const char *what, int line)
{
    if (good)
        return;
    std::fprintf(stderr, "no_exceptions.cpp:%d: %s\n", line, what);
    ++failures;
}

#define CHECK(...) check(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__, __LINE__)

class failing_store : public jeton::store {
public:
    [[nodiscard]] std::optional<std::string> load(std::string_view) override
    {
        fail(code);
        return std::nullopt;
    }
    void save(std::string_view, std::string_view) override {}
    void remove(std::string_view) override {}
    std::atomic<std::int32_t> code = 0;
};

class keeping_store : public jeton::store {
public:
    [[nodiscard]] std::optional<std::string> load(std::string_view) override { return record_; }
    void save(std::string_view, std::string_view record) override { record_ = record; }
    void remove(std::string_view) override { record_.reset(); }

private:
    std::optional<std::string> record_;
};

int ends_with(const char *program, const char *how)
{
    char *words[] = {const_cast<char *>(program), const_cast<char *>(how), nullptr};
    pid_t process = -1;
    // What it says at its end is no news for whoever reads the output of the tests.
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    const int failure = posix_spawn(&process, program, &actions, nullptr, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failure != 0)
        return -1;
    int status = 0;
    waitpid(process, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/// The programs within this program that fail on purpose.
int fail(const char *how)
{
    if (std::strcmp(how, "handler") == 0) {
        jeton::set_failure_handler([](const jeton::error &error) {
            std::_Exit(error.status() == jeton::status::configuration && error.message() == "told to fail" ? 42 : 1);
        });
    }
    const jeton::result<int> failed = jeton::error(jeton::status::configuration, "told to fail");
    return failed.value();
}

void all(const char *program)
{
    CHECK(ends_with(program, "handler") == 42);
    CHECK(ends_with(program, "terminate") == 1000 + SIGABRT);

    // Nobody approves before the callback has run.
    test_server server(with_a_person);
    std::atomic<int> prompts = 0;
    jeton::config config = server.device();
    config.on_device_code([&](const jeton::device_prompt &prompt) {
        ++prompts;
        server.command("approve " + std::string(prompt.user_code));
    });
    config.on_pending([](jeton::milliseconds) {}).on_login_ended([](jeton::status, std::string_view) {});
    config.on_event([](const jeton::event &) {}).store(std::make_unique<keeping_store>());
    config.resource_server(server["origin"]);
    const auto client = config.build();
    CHECK(client);
    if (!client)
        return;
    const auto session = client->session("me");
    CHECK(session);
    CHECK(session->token().error().status() == jeton::status::login_required);
    CHECK(session->log_in());
    CHECK(prompts == 1);
    CHECK(session->cached());
    CHECK(session->refresh());
    CHECK(session->request("GET", server["api"]).send());
    CHECK(session->log_out());

    // A callback fails with a code, as there is nothing to throw.
    jeton::config refusing = server.device();
    refusing.on_device_code([](const jeton::device_prompt &) { return 5; });
    const auto refused = refusing.build()->session()->log_in();
    CHECK(!refused);
    CHECK(refused.error().status() == jeton::status::callback);
    CHECK(refused.error().callback_result() == 5);
    CHECK(!refused.error().callback_exception());

    const auto store = std::make_shared<failing_store>();
    store->code = 28;
    const auto unreadable = server.service().store(store).build()->session()->token();
    CHECK(!unreadable);
    CHECK(unreadable.error().callback_result() == 28);

    CHECK(jeton::set_log(jeton::log_level::warn, [](jeton::log_level, std::string_view, std::string_view) {}));
    CHECK(jeton::clear_log());
    jeton::config wrong;
    wrong.client_id(std::string("a\0b", 3));
    CHECK(wrong.build().error().status() == jeton::status::invalid_argument);
}

} // namespace

int main(int count, char **words)
{
    if (count == 2)
        return fail(words[1]);
    all(words[0]);
    if (failures == 0)
        std::puts("without exceptions: all well");
    return failures == 0 ? 0 : 1;
}
