// A line for people, of a push as GitHub has it.

type Push = {
  compare: string;
  commits: { message: string }[];
  pusher: { name: string };
  repository: { full_name: string };
};

// What Slack would take for its own marks.
const plain = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

export default (push: Push) => {
  const count = push.commits.length;
  const last = push.commits[count - 1]?.message.split("\n")[0] ?? "no commit";
  const commits = count === 1 ? "1 commit" : `${count} commits`;
  const who = plain(push.pusher.name);
  return {
    text: `${who} pushed ${commits} to ${plain(push.repository.full_name)}: ${plain(last)} · <${push.compare}|look>`,
  };
};
