#include "support.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace {

[[noreturn]] void end_test(const std::string &why)
{
    std::fprintf(stderr, "%s\n", why.c_str());
    std::_Exit(3);
}

std::string unescaped(std::string_view rest)
{
    std::string text;
    for (std::size_t index = 0; index < rest.size() && rest[index] != '"'; ++index) {
        char letter = rest[index];
        if (letter == '\\' && index + 1 < rest.size()) {
            letter = rest[++index];
            switch (letter) {
            case 'n':
                letter = '\n';
                break;
            case 't':
                letter = '\t';
                break;
            case 'u':
                end_test("an escape that this reader does not know");
            default:
                break;
            }
        }
        text += letter;
    }
    return text;
}

} // namespace

std::string json_line::text(std::string_view name) const
{
    const std::string start = '"' + std::string(name) + "\":\"";
    const std::size_t found = line_.find(start);
    if (found == std::string::npos)
        end_test("no text `" + std::string(name) + "` in " + line_);
    return unescaped(std::string_view(line_).substr(found + start.size()));
}

long long json_line::number(std::string_view name) const
{
    const std::string start = '"' + std::string(name) + "\":";
    const std::size_t found = line_.find(start);
    return found == std::string::npos ? 0 : std::strtoll(line_.c_str() + found + start.size(), nullptr, 10);
}

test_server::test_server(const std::vector<std::string> &options)
{
    const char *program = std::getenv("JETON_TEST_SERVER");
    if (!program)
        end_test("JETON_TEST_SERVER is not set: it names the program jeton-test-server");
    int in[2];
    int out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        end_test("no pipes");
    std::vector<char *> words = {const_cast<char *>(program)};
    for (const std::string &option : options)
        words.push_back(const_cast<char *>(option.c_str()));
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    const int failure = posix_spawn(&process_, program, &actions, nullptr, words.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    to_ = in[1];
    from_ = out[0];
    if (failure != 0)
        end_test(std::string("cannot start ") + program);
    facts_ = json_line(read_line());
}

test_server::~test_server()
{
    close(to_);
    int status = 0;
    waitpid(process_, &status, 0);
    close(from_);
}

json_line test_server::command(const std::string &line)
{
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::string sent = line + '\n';
    if (write(to_, sent.data(), sent.size()) != static_cast<ssize_t>(sent.size()))
        end_test("the test server is gone");
    json_line answer(read_line());
    if (answer.line().find("\"ok\":true") == std::string::npos)
        end_test("the test server refused `" + line + "`: " + answer.line());
    return answer;
}

long long test_server::requests(std::string_view grant_type)
{
    const std::string stats = command("stats").line();
    const std::size_t found = stats.find('"' + std::string(grant_type) + "\":{");
    return found == std::string::npos ? 0 : json_line(stats.substr(found)).number("requests");
}

std::string test_server::read_line()
{
    for (;;) {
        if (const std::size_t end = unread_.find('\n'); end != std::string::npos) {
            std::string line = unread_.substr(0, end);
            unread_.erase(0, end + 1);
            return line;
        }
        char buffer[4096];
        const ssize_t count = read(from_, buffer, sizeof buffer);
        if (count <= 0)
            end_test("the test server is gone");
        unread_.append(buffer, static_cast<std::size_t>(count));
    }
}

jeton::config test_server::service() const
{
    jeton::config config;
    config.issuer((*this)["issuer"]).client_id((*this)["service_client"]).client_secret((*this)["service_secret"]);
    config.grant(jeton::grant::client_credentials).scope("read").no_proxy();
    return config;
}

jeton::config test_server::password() const
{
    jeton::config config;
    config.issuer((*this)["issuer"]).client_id((*this)["password_client"]);
    config.grant(jeton::grant::password).username((*this)["username"]).password((*this)["password"]);
    config.scope("read write").no_proxy();
    return config;
}

jeton::config test_server::device() const
{
    jeton::config config;
    config.issuer((*this)["issuer"]).client_id((*this)["public_client"]);
    config.grant(jeton::grant::device_code).scope("read").no_proxy();
    return config;
}

jeton::config test_server::browser()
{
    jeton::config config;
    config.issuer((*this)["issuer"]).client_id((*this)["public_client"]);
    config.grant(jeton::grant::authorization_code).scope("read").no_proxy();
    config.on_open_url([this](std::string_view url) { visit(url); });
    return config;
}

void gate::open()
{
    const std::lock_guard<std::mutex> lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
}

void gate::pass()
{
    std::unique_lock<std::mutex> lock(mutex_);
    if (!opened_.wait_for(lock, std::chrono::seconds(60), [this] { return is_open_; }))
        end_test("nobody opened the gate");
}

scratch_folder::scratch_folder()
{
    std::string name = (std::filesystem::temp_directory_path() / "jeton-cpp-XXXXXX").string();
    if (!mkdtemp(name.data()))
        end_test("cannot make a folder for the test");
    path_ = name;
}

scratch_folder::~scratch_folder()
{
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}
