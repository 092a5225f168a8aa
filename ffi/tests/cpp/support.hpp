// What the C++ tests share: the test server as a process, a browser, and a place to wait at.
#ifndef SUPPORT_HPP
#define SUPPORT_HPP

#include "jeton.hpp"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

/// One line of JSON without arrays, as the test server writes it.
class json_line {
public:
    explicit json_line(std::string line) : line_(std::move(line)) {}
    /// A member that is a text; the test ends if there is none.
    [[nodiscard]] std::string text(std::string_view name) const;
    /// A member that is a number, in nested objects too; 0 if there is none.
    [[nodiscard]] long long number(std::string_view name) const;
    [[nodiscard]] const std::string &line() const { return line_; }

private:
    std::string line_;
};

/// For a server where everything waits for a person, or for the commands `approve` and `visit`.
inline const std::vector<std::string> with_a_person;

/// An authorization server and an API in a process of its own, which ends with this object.
class test_server {
public:
    explicit test_server(const std::vector<std::string> &options = {"--approve"});
    ~test_server();
    test_server(const test_server &) = delete;
    test_server &operator=(const test_server &) = delete;

    /// What the server said of itself: issuer, api, public_client...
    [[nodiscard]] std::string operator[](std::string_view name) const { return facts_.text(name); }
    /// A command; the test ends if the server refuses it.
    json_line command(const std::string &line);
    /// `stats`, one number of it.
    long long count(std::string_view name) { return command("stats").number(name); }
    /// How many requests for a token of that grant type there were.
    long long requests(std::string_view grant_type);
    /// A browser that opens the URL in the background.
    void visit(std::string_view url) { command("visit " + std::string(url)); }

    /// Configurations that fit the server's clients.
    [[nodiscard]] jeton::config service() const;
    [[nodiscard]] jeton::config password() const;
    [[nodiscard]] jeton::config device() const;
    [[nodiscard]] jeton::config browser();

private:
    std::string read_line();

    std::mutex mutex_;
    pid_t process_ = -1;
    int to_ = -1;
    int from_ = -1;
    std::string unread_;
    json_line facts_{""};
};

/// Where one thread waits until another has come by; the test ends after 60 s.
class gate {
public:
    void open();
    void pass();

private:
    std::mutex mutex_;
    std::condition_variable opened_;
    bool is_open_ = false;
};

/// A folder that is removed in the end.
class scratch_folder {
public:
    scratch_folder();
    ~scratch_folder();
    scratch_folder(const scratch_folder &) = delete;
    scratch_folder &operator=(const scratch_folder &) = delete;
    [[nodiscard]] const std::string &path() const { return path_; }

private:
    std::string path_;
};

/// How often this thread has asked for memory by `new` (support_new.cpp).
std::uint64_t allocations_of_this_thread();

#endif
