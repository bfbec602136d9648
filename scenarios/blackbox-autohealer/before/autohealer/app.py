from flask import Flask, request, jsonify
import docker

app = Flask(__name__)
client = docker.from_env()


@app.route("/alert", methods=["POST"])
def alert():
    data = request.get_json()
    for alert in data.get("alerts", []):
        if alert["status"] == "firing" and alert["labels"]["alertname"] == "NginxDown":
            print("NginxDown received, restarting nginx", flush=True)
            client.containers.get("nginx").restart()
    return jsonify({"status": "ok"})


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000)
